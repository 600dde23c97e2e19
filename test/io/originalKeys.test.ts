import { describe, expect, it } from 'vitest';
import {
  autoencoderModules,
  type ModuleNames,
  renameModule,
  reversed,
  unetModules,
} from '../../lib/io/originalKeys.js';
import { readAutoencoderConfig } from '../../lib/models/autoencoderConfig.js';
import { readUnetConfig } from '../../lib/models/unetConfig.js';
import { convertersKeys } from '../support/originalFile.js';

interface Shapes {
  SHAPES: Record<string, { unet: object; vae: object }>;
  componentsOf(shape: string): { name: string; tensors: { key: string }[] }[];
}
const script = new URL('../../scripts/model-shapes.mjs', import.meta.url).href;
const { SHAPES, componentsOf } = (await import(script)) as Shapes;

const unetNames = (shape: string): ModuleNames => unetModules(readUnetConfig(SHAPES[shape]!.unet));
const vaeNames = (shape: string): ModuleNames => autoencoderModules(readAutoencoderConfig(SHAPES[shape]!.vae));
const keysOf = (shape: string, name: string): string[] =>
  componentsOf(shape)
    .find((component) => component.name === name)!
    .tensors.map(({ key }) => key);

describe.each([
  ['tiny-sd15', 'tiny-sd15'],
  ['tiny-sd21', 'tiny-sd15'],
  ['tiny-sdxl', 'tiny-sdxl'],
])('the keys of %s', (pipeline, shape) => {
  it.each([
    ['unet', 'model.diffusion_model.', unetNames(shape)],
    ['vae', 'first_stage_model.', vaeNames(shape)],
  ])('of the %s are those of another converter', (component, prefix, names) => {
    const theirs = convertersKeys(pipeline).filter(([original]) => original.startsWith(prefix));
    const expected = theirs.map(([original, ours]) => [original.slice(prefix.length), String(ours).split('/')[1]]);
    const back = reversed(names);
    expect(theirs.map(([original]) => renameModule(back, original.slice(prefix.length)))).toEqual(
      expected.map(([, ours]) => ours),
    );
    expect(expected.map(([, ours]) => renameModule(names, ours!))).toEqual(expected.map(([original]) => original));
    expect(expected.map(([, ours]) => ours).sort()).toEqual([...keysOf(shape, component)].sort());
  });
});

describe('models of full size', () => {
  it.each([
    ['sd15', 686, 248],
    ['sd21', 686, 248],
    ['sdxl', 1680, 248],
  ])('%s has %i keys in the UNet and %i in the autoencoder, all of them different', (shape, unet, vae) => {
    const renamed = (name: string, names: ModuleNames): (string | undefined)[] =>
      keysOf(shape, name).map((key) => renameModule(names, key));
    for (const [keys, count] of [
      [renamed('unet', unetNames(shape)), unet],
      [renamed('vae', vaeNames(shape)), vae],
    ] as const) {
      expect(keys).not.toContain(undefined);
      expect(new Set(keys).size).toBe(count);
      expect(keys).toHaveLength(count);
    }
  });
});

it('a path that begins with no module of the model has no name', () => {
  const names = unetNames('sdxl');
  for (const path of ['', 'down_blocks.0.attentions.0.norm.weight', 'down_blocks', 'conv_in2.weight', 'other.x'])
    expect(renameModule(names, path)).toBeUndefined();
  expect(renameModule(names, 'mid_block.attentions.0')).toBe('middle_block.1');
});
