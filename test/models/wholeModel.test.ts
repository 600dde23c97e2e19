import { describe, expect, it } from 'vitest';
import { readAutoencoderConfig } from '../../lib/models/autoencoderConfig.js';
import { readClipTextConfig } from '../../lib/models/clipTextConfig.js';
import { readUnetConfig } from '../../lib/models/unetConfig.js';
import { checkAutoencoder, checkClipText, checkUnet, unetAdaptedLinears } from '../../lib/models/wholeModel.js';
import type { TensorInfo } from '../../lib/params/paramTree.js';

type Config = Readonly<Record<string, unknown>>;
type TensorList = (config: Config) => { key: string; shape: number[] }[];
interface ModelShapes {
  readonly SHAPES: Readonly<Record<string, Readonly<Record<string, Config>>>>;
  readonly unetTensors: TensorList;
  readonly vaeTensors: TensorList;
  readonly clipTensors: TensorList;
}

// Key lists written independently of lib/models, for pipelines of random weights.
const scripts = new URL('../../scripts/', import.meta.url);
const { SHAPES, unetTensors, vaeTensors, clipTensors } = {
  ...(await import(new URL('model-configs.mjs', scripts).href)),
  ...(await import(new URL('model-shapes.mjs', scripts).href)),
} as ModelShapes;

function header(list: ReturnType<TensorList>): Map<string, TensorInfo> {
  return new Map(list.map(({ key, shape }) => [key, { dtype: 'F16', shape }]));
}

describe('checkUnet', () => {
  it.each([
    ['sd15', 859_520_964, 128],
    ['sd21', 865_910_724, 128],
    ['sdxl', 2_567_463_684, 560],
    ['tiny-sd15', 792_964, 88],
    ['tiny-sdxl', 1_308_228, 136],
  ])('%s has %d parameters and %d layers to adapt', (name, parameters, adapted) => {
    const json = SHAPES[name]!.unet!;
    const config = readUnetConfig(json);
    const tensors = header(unetTensors(json));
    expect(checkUnet(tensors, config)).toBe(parameters);
    expect(unetAdaptedLinears(tensors, config)).toHaveLength(adapted);
  });

  it('takes a UNet whose downsampling pads on one side only', () => {
    const json = { ...SHAPES['tiny-sdxl']!.unet!, downsample_padding: 0 };
    expect(checkUnet(header(unetTensors(json)), readUnetConfig(json))).toBe(1_308_228);
  });

  it('names a key outside the model, and a missing one', () => {
    const json = SHAPES['tiny-sd15']!.unet!;
    const config = readUnetConfig(json);
    const extra = header([...unetTensors(json), { key: 'controlnet_cond.weight', shape: [3] }]);
    expect(() => checkUnet(extra, config)).toThrow("got outside it: 'controlnet_cond.weight'");
    const missing = header(unetTensors(json));
    missing.delete('mid_block.attentions.0.proj_in.weight');
    expect(() => checkUnet(missing, config)).toThrow(
      "tensor 'mid_block.attentions.0.proj_in.weight': expected [48, 48]",
    );
  });

  it('takes proj_in as linear layer or as 1×1 convolution, as the checkpoint has it', () => {
    const json = SHAPES['tiny-sdxl']!.unet!;
    const tensors = header(unetTensors({ ...json, use_linear_projection: false }));
    expect(tensors.get('mid_block.attentions.0.proj_in.weight')?.shape).toEqual([48, 48, 1, 1]);
    expect(checkUnet(tensors, readUnetConfig(json))).toBe(1_308_228);
  });
});

describe('checkAutoencoder', () => {
  it('counts 83,653,863 parameters', () => {
    const json = SHAPES.sdxl!.vae!;
    expect(checkAutoencoder(header(vaeTensors(json)), readAutoencoderConfig(json))).toBe(83_653_863);
  });
});

describe('checkClipText', () => {
  it.each([
    ['sd15', 'text_encoder', 123_060_480],
    ['sd21', 'text_encoder', 340_387_840],
    ['sdxl', 'text_encoder_2', 694_659_840],
  ] as const)('%s %s has %d parameters', (name, component, parameters) => {
    const json = SHAPES[name]![component]!;
    const tensors = header(clipTensors(json));
    expect(checkClipText(component, tensors, readClipTextConfig(json, component))).toBe(parameters);
  });

  it('misses the projection of a second text encoder', () => {
    const json = SHAPES.sdxl!.text_encoder_2!;
    const tensors = header(clipTensors(json));
    tensors.delete('text_projection.weight');
    const config = readClipTextConfig(json, 'text_encoder_2');
    expect(() => checkClipText('text_encoder_2', tensors, config)).toThrow(
      "'text_projection.weight': expected [1280, 1280]",
    );
  });
});
