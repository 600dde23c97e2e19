import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { openModelFolder } from '../../lib/io/modelFolder.js';
import { readAutoencoderConfig } from '../../lib/models/autoencoderConfig.js';
import { autoencoderKlDecode, autoencoderKlEncode, latentDistribution } from '../../lib/models/autoencoderKl.js';
import { modelRun, readReference, relativeError } from '../models/modelFixture.js';

const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url));

describe('autoencoderKl against the reference, in float64', () => {
  const { vae } = openModelFolder(`${fixtures}tiny-sd15`);
  const config = readAutoencoderConfig(vae.config);
  const reference = readReference(`${fixtures}expected-sd15/vae.safetensors`);

  it('encodes', () => {
    const run = modelRun(vae);
    const moments = autoencoderKlEncode(run.params, config, run.feed('image', reference.get('image')!));
    const { mean, logvar } = latentDistribution(Float32Array.from(run.run().get(moments)!), config.latentChannels);
    expect(relativeError(moments, Float64Array.from(mean), reference.get('mean')!)).toBeLessThan(1e-5);
    expect(relativeError(moments, Float64Array.from(logvar), reference.get('logvar')!)).toBeLessThan(1e-5);
  });

  it('decodes', () => {
    const run = modelRun(vae);
    const picture = autoencoderKlDecode(run.params, config, run.feed('latents', reference.get('mean')!));
    expect(relativeError(picture, run.run().get(picture)!, reference.get('decoded_mean')!)).toBeLessThan(3e-5);
  });
});
