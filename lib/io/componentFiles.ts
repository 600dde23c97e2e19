import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { FileFormatError } from '../errors.js';
import { openError } from './fileBytes.js';
import { readJsonObject } from './jsonFile.js';
import { readSafetensorsHeader, type TensorRef } from './safetensorsHeader.js';

/**
 * The tensors of one component folder, by their keys in the files. `stem` is `diffusion_pytorch_model` or `model`. The
 * first of these is taken: `stem.safetensors`, its shards, `stem.fp16.safetensors`, its shards.
 *
 * @throws FileFormatError when there are no safetensors files (and says so when there are only .bin ones) or shards and
 * index disagree.
 */
export function readComponentTensors(folder: string, stem: string): Map<string, TensorRef> {
  const names = listFolder(folder);
  const candidates = ['', '.fp16'].flatMap((variant) => [
    `${stem}${variant}.safetensors`,
    `${stem}.safetensors.index${variant}.json`,
    `${stem}${variant}.safetensors.index.json`,
  ]);
  const name = candidates.find((candidate) => names.has(candidate));
  if (name === undefined) throw noWeights(folder, stem, names);
  const path = join(folder, name);
  return name.endsWith('.json') ? readShards(folder, path) : readSafetensorsHeader(path).tensors;
}

function listFolder(folder: string): Set<string> {
  try {
    return new Set(readdirSync(folder));
  } catch (error) {
    throw openError(folder, error);
  }
}

function noWeights(folder: string, stem: string, names: Set<string>): FileFormatError {
  const pickled = [...names].filter((name) => /\.(bin|ckpt|pt|pth)$/.test(name)).sort();
  if (pickled.length > 0) {
    return new FileFormatError(
      `${folder}: expected ${stem}.safetensors, got only PyTorch files (${pickled.join(', ')})`,
      {
        hint: 'Such files can run code when opened and are not read. Download the .safetensors files of this model instead, or convert it once with diffusers: pipeline.save_pretrained(folder, safe_serialization=True).',
      },
    );
  }
  const found = [...names].sort().slice(0, 8).join(', ') || 'nothing';
  return new FileFormatError(
    `${folder}: expected ${stem}.safetensors, ${stem}.fp16.safetensors or an index, got ${found}`,
    {
      hint: 'Download the missing files of this model folder.',
    },
  );
}

/** Follows `{ weight_map: { key: file name } }`. */
function readShards(folder: string, indexPath: string): Map<string, TensorRef> {
  const weightMap = readJsonObject(indexPath).weight_map;
  if (typeof weightMap !== 'object' || weightMap === null) {
    throw new FileFormatError(`${indexPath}: weight_map: expected an object, got ${JSON.stringify(weightMap)}`, {
      hint: 'The index is damaged: download it again.',
    });
  }
  const shards = new Map<string, Map<string, TensorRef>>();
  const tensors = new Map<string, TensorRef>();
  for (const [key, name] of Object.entries(weightMap)) {
    const shard = shards.get(name) ?? readShard(folder, indexPath, name);
    shards.set(name, shard);
    const ref = shard.get(key);
    if (ref === undefined)
      throw disagree(indexPath, `${JSON.stringify(key)}: expected in ${name}, got no such tensor there`);
    tensors.set(key, ref);
  }
  for (const [name, shard] of shards) {
    const unlisted = [...shard.keys()].find((key) => !tensors.has(key));
    if (unlisted !== undefined)
      throw disagree(indexPath, `${JSON.stringify(unlisted)} is in ${name} but not in weight_map`);
  }
  return tensors;
}

function readShard(folder: string, indexPath: string, name: unknown): Map<string, TensorRef> {
  if (typeof name !== 'string' || !/^[^/\\]+\.safetensors$/.test(name)) {
    throw disagree(
      indexPath,
      `weight_map: expected names of .safetensors files in this folder, got ${JSON.stringify(name)}`,
    );
  }
  return readSafetensorsHeader(join(folder, name)).tensors;
}

function disagree(indexPath: string, what: string): FileFormatError {
  return new FileFormatError(`${indexPath}: ${what}`, {
    hint: 'Index and shards do not belong together: download all of them again.',
  });
}
