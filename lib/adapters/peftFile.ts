// Writes LoRA as PEFT and diffusers do: `unet.<path>.lora_A.weight` [r, in] and `.lora_B.weight` [out, r], or diffusers' older
// `.lora.down.weight` and `.lora.up.weight`. Without alpha the scale is 1.
import { writeSafetensors } from '../io/safetensors.js';
import type { AdaptedModel } from './modelLayers.js';
import { factorTensors, type PlainAdapter, type PlainLayer } from './plainLayers.js';

type Dialect = 'peft' | 'diffusers';

function keysOf({ model, path }: PlainLayer, dialect: Dialect): { up: string; down: string } {
  const layer = `${model}.${path}`;
  if (dialect === 'peft') return { up: `${layer}.lora_B.weight`, down: `${layer}.lora_A.weight` };
  const middle = model === 'unet' ? 'lora' : 'lora_linear_layer';
  return { up: `${layer}.${middle}.up.weight`, down: `${layer}.${middle}.down.weight` };
}

/** Writes the file atomically. @throws FileWriteError */
export async function savePeftFile(path: string, adapter: PlainAdapter, dialect: Dialect): Promise<void> {
  const { layers, dtype, metadata } = adapter;
  const tensors = layers.flatMap((layer) => factorTensors(layer, dtype, keysOf(layer, dialect)));
  await writeSafetensors(path, tensors, { format: 'pt', ...configOf(layers), ...metadata });
}

/**
 * The fields of a LoraConfig that say the scale of each layer, where ranks differ: programs that guess it from the tensors take the first
 * rank for all alphas.
 */
function configOf(layers: readonly PlainLayer[]): Record<string, string> {
  const models = [...new Set(layers.map(({ model }) => model))];
  const differ = models.some((model) => new Set(ranksOf(layers, model).values()).size > 1);
  if (!differ) return {};
  const fields = models.flatMap((model) => {
    const ranks = ranksOf(layers, model);
    const [first] = [...ranks.values()];
    const others = Object.fromEntries([...ranks].filter(([, rank]) => rank !== first));
    return Object.entries({
      r: first,
      lora_alpha: first,
      rank_pattern: others,
      alpha_pattern: others,
      target_modules: [...ranks.keys()],
      use_rslora: false,
      use_dora: false,
      lora_bias: false,
    }).map(([name, value]) => [`${model}.${name}`, value]);
  });
  return { lora_adapter_metadata: JSON.stringify(Object.fromEntries(fields)) };
}

function ranksOf(layers: readonly PlainLayer[], model: AdaptedModel): Map<string, number> {
  return new Map(layers.filter((layer) => layer.model === model).map(({ path, rank }) => [path, rank]));
}
