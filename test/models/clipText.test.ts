import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { openModelFolder } from '../../lib/io/modelFolder.js';
import { clipText, endTokenIndex } from '../../lib/models/clipText.js';
import { readClipTextConfig } from '../../lib/models/clipTextConfig.js';
import { modelRun, readReference, relativeError } from './modelFixture.js';

const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url));
const { textEncoder } = openModelFolder(`${fixtures}tiny-sd15`);
const config = readClipTextConfig(textEncoder.config, 'text_encoder');

describe('clipText', () => {
  const reference = readReference(`${fixtures}expected-sd15/text.safetensors`);

  it('gives the states of the reference, and pools them at the end token', () => {
    const run = modelRun(textEncoder);
    const ids = reference.get('input_ids')!;
    const [n, t] = ids.shape as [number, number];
    const ends = Array.from({ length: n }, (_, i) =>
      endTokenIndex(ids.data.slice(i * t, (i + 1) * t), config.eosTokenId),
    );
    const endTokens = run.feed('ends', { shape: [n], data: Int32Array.from(ends) });
    const outputs = clipText(run.params, config, { inputIds: run.feed('ids', ids), endTokens });
    run.params.expectAllUsed();
    const values = run.run();
    const states = values.get(outputs.lastHiddenState)!;
    expect(relativeError(outputs.lastHiddenState, states, reference.get('encoder_hidden_states')!)).toBeLessThan(1e-5);
    const c = config.hiddenSize;
    const rows = ends.flatMap((end, i) => [...states.subarray((i * t + end) * c, (i * t + end + 1) * c)]);
    expect([...values.get(outputs.pooled!)!]).toEqual(rows);
    expect(outputs.hiddenStates).toHaveLength(config.layers + 1);
  });

  it('reads no pooled state without end tokens', () => {
    const run = modelRun(textEncoder);
    const outputs = clipText(run.params, config, { inputIds: run.feed('ids', reference.get('input_ids')!) });
    expect(outputs.pooled).toBeNull();
  });

  it('refuses another number of tokens', () => {
    const run = modelRun(textEncoder);
    const ids = run.feed('ids', { shape: [1, 5], data: new Int32Array(5) });
    expect(() => clipText(run.params, config, { inputIds: ids })).toThrow('tokens: expected 77, got 5');
  });
});

describe('endTokenIndex', () => {
  it('takes the first largest id where the config says 2', () => {
    expect(endTokenIndex([49406, 320, 49407, 49407], 2)).toBe(2);
    expect(endTokenIndex([49406, 49408, 49407], 2)).toBe(1);
  });

  it('takes the first end token otherwise', () => {
    expect(endTokenIndex([49406, 49408, 49407, 49407], 49407)).toBe(2);
    expect(endTokenIndex(Int32Array.from([5, 6]), 49407)).toBe(0);
  });
});
