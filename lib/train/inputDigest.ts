import { createHash, type Hash } from 'node:crypto';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { openError, readFully } from '../io/fileBytes.js';
import type { Component, ModelFiles } from '../io/modelFolder.js';
import { readTensorBytes, type TensorRef } from '../io/safetensors.js';
import { readTokenizerFiles } from '../io/tokenizerFiles.js';
import type { PictureSource } from './options.js';

/** Bytes of each weight that count: no two models agree in the beginnings of all of them. */
const BYTES = 1024;

/** SHA-256 of a picture's file. @throws FileFormatError if it cannot be read */
export function imageDigest(source: PictureSource): string {
  const hash = createHash('sha256');
  if (source instanceof Uint8Array) return hash.update(source).digest('hex');
  try {
    return hash.update(readFileSync(source)).digest('hex');
  } catch (error) {
    throw openError(source.toString(), error);
  }
}

/**
 * Tells models apart by all that a run reads of them but the tokenizers, which have a digest of their own: SHA-256 of the configs, and of key,
 * type, shape and first bytes of each weight. Takes milliseconds, whatever the size.
 */
export function modelDigest(model: ModelFiles): string {
  const hash = createHash('sha256');
  hash.update(JSON.stringify(model.scheduler));
  for (const component of [model.unet, model.vae, model.textEncoder, model.textEncoder2]) {
    if (component) addComponent(hash, component);
  }
  return hash.digest('hex');
}

/** SHA-256 of all that a run reads of a model's tokenizers, in whichever files it stands. @throws FileFormatError */
export function tokenizerDigest(model: ModelFiles): string {
  const hash = createHash('sha256');
  for (const folder of [model.tokenizer, model.tokenizer2]) {
    if (folder !== undefined) hash.update(JSON.stringify(readTokenizerFiles(folder)));
  }
  return hash.digest('hex');
}

function addComponent(hash: Hash, { name, config, tensors }: Component): void {
  hash.update(`${name}${JSON.stringify(config)}`);
  const keys = [...tensors.keys()].sort();
  const files = new Map<string, number>();
  try {
    for (const key of keys) {
      const ref = tensors.get(key)!;
      if (!files.has(ref.path)) files.set(ref.path, openSync(ref.path, 'r'));
      addWeight(hash, key, ref, files.get(ref.path)!);
    }
  } finally {
    for (const file of files.values()) closeSync(file);
  }
}

function addWeight(hash: Hash, key: string, ref: TensorRef, file: number): void {
  const { path, dtype, shape, offset, bytes } = ref;
  hash.update(`${key} ${dtype} ${shape.join('x')}\n`);
  const count = Math.min(BYTES, bytes);
  hash.update(ref.transposed ? readTensorBytes(ref).subarray(0, count) : readFully(file, path, offset, count));
}
