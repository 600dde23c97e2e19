// An adapter to convert: its file, and the values of its layers one by one.
import { availableParallelism } from 'node:os';
import type { AdapterFile } from '../adapters/adapterFile.js';
import type { ValueKind } from '../adapters/adapterLayout.js';
import { valueName } from '../adapters/adapterLayout.js';
import type { AdaptedLayer } from '../adapters/adapterSpec.js';
import type { PipelineLayers } from '../adapters/modelLayers.js';
import { type LayerContent, layerContent, layoutOf, openAdapter } from '../adapters/openAdapter.js';
import { ConfigError } from '../errors.js';
import { drawFileStart, pipelineLayers } from '../generate/adapter.js';
import { adapterPath } from '../generate/adapterPath.js';
import { type OpenModel, openModel } from '../pipeline/openModel.js';
import { openSession } from '../pipeline/session.js';
import { isPlainFormat, type ResolvedConvertOptions } from './options.js';

/** What a layer's adapter adds, with the start that it subtracts. */
export interface Content {
  readonly values: LayerContent;
  readonly start: LayerContent | null;
}

export interface Source {
  readonly file: AdapterFile;
  readonly model: OpenModel | undefined;
  readonly content: (file: AdapterFile, layer: AdaptedLayer) => Content;
}

/**
 * Opens the adapter; a start that is not in the file is drawn.
 * @throws (by rejecting) what openAdapter throws; ConfigError where the model is needed and not given
 */
export async function openSource(options: ResolvedConvertOptions): Promise<Source> {
  const { model: given, config, unetOnly, components, to } = options;
  const path = adapterPath(options.adapter);
  if (given === undefined && config !== undefined) {
    throw new ConfigError(`config: expected none, as there is no model, got '${config}'`);
  }
  const model = given === undefined ? undefined : openModel(given, config);
  const pipeline = model && pipelineLayers(model);
  const opened = openAdapter(path, pipeline, { unetOnly, start: components });
  const file = isPlainFormat(to) ? withKernels(opened, pipeline) : opened;
  const drawn = file.drawn ? await drawnStart(file, model) : null;
  return {
    file,
    model,
    content: (own, layer) =>
      layerContent(own, layer, (kind) => {
        if (own === file && drawn) return drawn(layer, kind);
        throw new Error(`the start of ${layer.path} is in no file`);
      }),
  };
}

/** Layers that are 1×1 convolutions in some models or all. */
const CONVOLUTIONS = /\.(proj_in|proj_out|conv_shortcut)$/;

/** Marks 1×1 convolutions, which tlora's own files hold as matrices. @throws ConfigError where only the model tells them */
function withKernels(file: AdapterFile, pipeline: PipelineLayers | undefined): AdapterFile {
  const known = pipeline?.get('unet');
  const one = file.layers.find(({ path }) => CONVOLUTIONS.test(path));
  if (!one) return file;
  if (!known) {
    throw new ConfigError(`model: expected the model folder that ${file.path} is for, got none`, {
      hint: `Only the model tells whether ${one.path} is a convolution.`,
    });
  }
  const layers = file.layers.map((layer) =>
    known.get(layer.path)?.convolution ? { ...layer, convolution: true as const } : layer,
  );
  return { ...file, layers };
}

type ReadStart = (layer: AdaptedLayer, kind: ValueKind) => Float32Array;

async function drawnStart(file: AdapterFile, model: OpenModel | undefined): Promise<ReadStart> {
  const { spec } = file.drawn!;
  if (spec.start.from === 'weight' && !model) {
    throw new ConfigError(`model: expected a model folder, as ${file.path} starts from its weights, got none`);
  }
  const layout = layoutOf(file);
  const base = new Float32Array(layout.flat.total);
  const state = {
    writeState: (buffer: string, offset: number, values: Float32Array): void => {
      if (buffer === 'base') base.set(values, offset);
    },
  };
  const session = openSession(availableParallelism());
  try {
    await drawFileStart(session, file.drawn!, layout, { unet: model?.unet, state });
  } finally {
    session.engine.dispose();
  }
  return ({ path }, kind) => {
    const { offset, count } = layout.flat.entries.get(valueName(path, kind))!;
    return base.slice(offset, offset + count);
  };
}
