// Runs a model of a pipeline folder in the float64 interpreter, on tensors of a reference file.

import { createGraph, elements, type Graph, input, type Value } from '../../lib/graph/graph.js';
import type { Component } from '../../lib/io/modelFolder.js';
import { readSafetensorsHeader, readTensorFloat32, readTensorInt32 } from '../../lib/io/safetensors.js';
import { type ParamHooks, type ParamTree, paramTree } from '../../lib/params/paramTree.js';
import { interpret } from '../support/interpreter.js';

/** A reference tensor in the file's layout (pictures NCHW). */
export interface Reference {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
}

export function readReference(path: string): Map<string, Reference> {
  const { tensors } = readSafetensorsHeader(path);
  const floats = [...tensors.values()].filter((ref) => ref.dtype === 'F32' || ref.dtype === 'I32');
  return new Map(
    floats.map((ref) => [
      ref.key,
      { shape: ref.shape, data: ref.dtype === 'I32' ? readTensorInt32(ref) : readTensorFloat32(ref) },
    ]),
  );
}

/** [n, c, ...rest] to [n, ...rest, c]. */
export function channelsLast(shape: readonly number[], data: ArrayLike<number>): Float64Array {
  const [n, c, ...rest] = shape as [number, number, ...number[]];
  const area = elements(rest);
  return Float64Array.from({ length: n * c * area }, (_, i) => {
    const [at, channel] = [Math.floor(i / c), i % c];
    return data[(Math.floor(at / area) * c + channel) * area + (at % area)]!;
  });
}

/** ‖got − expected‖ / ‖expected‖ of a value in graph layout against a reference in file layout. */
export function relativeError(value: Value, got: Float64Array, expected: Reference): number {
  const isPicture = expected.shape.length === 4;
  const want = isPicture ? channelsLast(expected.shape, expected.data) : expected.data;
  if (want.length !== got.length) throw new Error(`${value.name}: [${value.shape}] against [${expected.shape}]`);
  let [difference, norm] = [0, 0];
  for (let i = 0; i < got.length; i++) {
    difference += (got[i]! - want[i]!) ** 2;
    norm += want[i]! ** 2;
  }
  return Math.sqrt(difference / norm);
}

export interface ModelRun {
  readonly graph: Graph;
  readonly params: ParamTree;
  /** An input with the values of a reference, pictures turned channels last; `samples` takes the first ones only. */
  feed(name: string, reference: Reference, samples?: number): Value;
  run(): Map<Value, Float64Array>;
}

export function modelRun(component: Component, hooks: ParamHooks = {}): ModelRun {
  const graph = createGraph();
  const leaves = new Map<Value, Float64Array>();
  return {
    graph,
    params: paramTree(graph, component.name, component.tensors, hooks),
    feed: (name, { shape, data }, samples = shape[0]!) => {
      const cut = [samples, ...shape.slice(1)];
      const part = data.subarray(0, elements(cut));
      const isPicture = shape.length === 4;
      const [n, c, h, w] = cut as [number, number, number, number];
      const value = input(graph, name, isPicture ? [n, h, w, c] : cut, data instanceof Int32Array ? 'i32' : 'f32');
      leaves.set(value, isPicture ? channelsLast(cut, part) : Float64Array.from(part));
      return value;
    },
    run: () => interpret(graph, new Map([...leaves, ...weights(graph, component)])),
  };
}

function weights(graph: Graph, component: Component): Map<Value, Float64Array> {
  const found = new Map<Value, Float64Array>();
  for (const value of graph.leaves.values()) {
    if (value.leaf?.kind !== 'weight') continue;
    const rows = (value.leaf.rows ?? [value.name]).map((name) => {
      const ref = component.tensors.get(name.slice(component.name.length + 1))!;
      const data = readTensorFloat32(ref);
      return ref.shape.length === 4 ? channelsLast(ref.shape, data) : data;
    });
    found.set(
      value,
      rows.length === 1 ? Float64Array.from(rows[0]!) : Float64Array.from(rows.flatMap((row) => [...row])),
    );
  }
  return found;
}
