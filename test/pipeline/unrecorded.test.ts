import { expect, it } from 'vitest';
import type { Engine, RunReport } from '../../lib/addon/surface.js';
import { tellUnrecorded } from '../../lib/pipeline/unrecorded.js';

it('tells of the run whose work could not be recorded, and of no other', async () => {
  const reports: RunReport[] = [{ ms: 1 }, { ms: 2, unrecorded: 'no graphs here' }, { ms: 3 }];
  const told: string[] = [];
  const engine = { load: () => ({ run: async () => reports.shift()! }) } as unknown as Engine;
  const program = tellUnrecorded(engine, (code, message) => told.push(`${code}: ${message}`)).load(new Uint8Array());
  const ms = [];
  for (let i = 0; i < 3; i++) ms.push((await program.run()).ms);
  expect(ms).toEqual([1, 2, 3]);
  expect(told).toEqual([
    'NOT_RECORDED: the device works call by call, which is slower: its work cannot be recorded: no graphs here',
  ]);
});
