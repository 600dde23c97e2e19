import { expect, it } from 'vitest';
import * as tlora from '../../lib/index.js';

it('the package exports these values, and loads without the addon', () => {
  expect(Object.keys(tlora).sort()).toMatchInlineSnapshot(`
    [
      "AbortError",
      "ConfigError",
      "DeviceError",
      "DisposedError",
      "FileFormatError",
      "FileWriteError",
      "NativeAddonError",
      "NonFiniteError",
      "OutOfMemoryError",
      "ShapeError",
      "TloraError",
      "activeRank",
      "convertAdapter",
      "doctor",
      "drawRankSchedule",
      "generate",
      "planTraining",
      "report",
      "samplerRanks",
      "train",
      "validateRankSchedule",
    ]
  `);
});
