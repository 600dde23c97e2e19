import { FileFormatError } from '../errors.js';
import { type DType, elements, type Graph, type Shape, type Value, weight } from '../graph/graph.js';

/** What a checkpoint's header says of one tensor. */
export interface TensorInfo {
  /** The safetensors name: F32, F16, BF16, … */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** The file it lies in, and its key there, for errors. */
  readonly path?: string;
  readonly key?: string;
}

/** What a trace may change or watch, by diffusers module path. */
export interface ParamHooks {
  /** Type of activations, matrices and biases of products, as CUDA computes; absent: f32, and matrices in their stored type. */
  readonly compute?: DType | undefined;
  /** With `compute`: the graph is for any device, so it has only ops that all of them have. */
  readonly anyDevice?: boolean;
  /** Output of a linear layer or 1×1 convolution with its adapter: x [..., in] the layer's input, base [..., out] the frozen product. */
  readonly adapter?: (path: string, x: Value, base: Value) => Value;
  /**
   * For linear layers that read the same x, and whose outputs lie side by side in one product: what puts the adapters of all of them
   * onto it; null: they do not fit together. Absent, where there are adapters: none do.
   */
  readonly joinedAdapter?: (paths: readonly string[]) => ((x: Value, base: Value) => Value) | null;
  /** The frozen product of a linear layer, where it is an input of the graph and not computed; null: compute it. */
  readonly cachedBase?: (path: string) => Value | null;
  /** The same of layers whose products lie side by side. */
  readonly cachedJoinedBase?: (paths: readonly string[]) => Value | null;
  /** A tensor that is trained (a slice of a state buffer), for a key and the graph's shape; null: frozen. */
  readonly trained?: (key: string, shape: Shape) => Value | null;
  /** Sees the output of every module, under the module's path. A module that runs twice is reported twice. */
  readonly onOutput?: (path: string, value: Value) => void;
}

/** One module of a checkpoint: its key prefix, and the tensors directly below it. */
export interface ParamNode {
  readonly graph: Graph;
  /** diffusers module path, such as `down_blocks.0.resnets.0.conv1`; '' at the root. */
  readonly path: string;
  readonly hooks: ParamHooks;
  /** A module below this one; `name` may have dots. */
  child(name: string | number): ParamNode;
  /** The shape that the file gives a tensor of this module, or null. */
  fileShape(name: string): Shape | null;
  /**
   * A tensor of this module, `shape` being the graph's: [o, i] or [o, kh, kw, i] in its stored type or that of `hooks.compute`, [c]
   * f32.
   * @param dtype 'f32': widened while it is loaded, where `hooks.compute` does not say otherwise; 'compute': also [c] in the type of
   * `hooks.compute`, for biases that are added to products
   * @throws FileFormatError if the file lacks it or has another shape or a type that is no float.
   */
  weight(name: string, shape: Shape, dtype?: 'f32' | 'compute'): Value;
  /** Whether the file has a tensor of this name in each of several modules below this one, all of one type and shape. */
  alike(modules: readonly string[], name: string): boolean;
  /**
   * Such tensors as one leaf, the rows of the second below those of the first and so on; `shape` is that of one.
   * @throws FileFormatError as `weight` does, of each
   */
  joinedWeight(modules: readonly string[], name: string, shape: Shape, dtype?: 'f32' | 'compute'): Value;
  /** Marks a tensor as known to the model although this graph does not read it. */
  markUsed(name: string): void;
}

/** The root of a checkpoint's modules, and the account of its keys. */
export interface ParamTree extends ParamNode {
  /** Keys that no call of `weight` or `markUsed` named. */
  unusedKeys(): string[];
  /** Elements of all tensors that were used. */
  usedElements(): number;
  /** @throws FileFormatError that names the keys outside the model. */
  expectAllUsed(): void;
}

interface Checkpoint {
  readonly graph: Graph;
  readonly component: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly hooks: ParamHooks;
  readonly used: Set<string>;
}

const GRAPH_DTYPE: Readonly<Record<string, DType>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };
const NAMED_KEYS = 8;

/** Convolution weights are [o, kh, kw, i] in the graph and [o, i, kh, kw] in the file; all others are the same in both. */
export function fileShapeOf(shape: Shape): number[] {
  const [o, kh, kw, i] = shape;
  return shape.length === 4 ? [o!, i!, kh!, kw!] : [...shape];
}

/**
 * The module tree of one component's checkpoint. Weights become leaves named `<component>/<key>`.
 * @param component the pipeline's name of the model: unet, vae, text_encoder, text_encoder_2
 * @param tensors by today's diffusers keys (lib/io renames older spellings)
 */
export function paramTree(
  graph: Graph,
  component: string,
  tensors: ReadonlyMap<string, TensorInfo>,
  hooks: ParamHooks = {},
): ParamTree {
  const used = new Set<string>();
  const root = paramNode({ graph, component, tensors, hooks, used }, '');
  const unusedKeys = (): string[] => [...tensors.keys()].filter((key) => !used.has(key));
  return {
    ...root,
    unusedKeys,
    usedElements: () => [...used].reduce((sum, key) => sum + elements(tensors.get(key)?.shape ?? [0]), 0),
    expectAllUsed: () => {
      const extra = unusedKeys();
      if (extra.length > 0) throw extraKeys(component, tensors, extra);
    },
  };
}

function paramNode(file: Checkpoint, path: string): ParamNode {
  const below = (name: string | number): string => (path === '' ? `${name}` : `${path}.${name}`);
  return {
    graph: file.graph,
    path,
    hooks: file.hooks,
    child: (name) => paramNode(file, below(name)),
    fileShape: (name) => file.tensors.get(below(name))?.shape ?? null,
    weight: (name, shape, dtype) => leafOf(file, below(name), shape, dtype ?? null),
    alike: (modules, name) => {
      const infos = modules.map((module) => file.tensors.get(below(`${module}.${name}`)));
      const [first] = infos;
      return infos.every((info) => info && info.dtype === first!.dtype && info.shape.join() === first!.shape.join());
    },
    joinedWeight: (modules, name, shape, dtype) => {
      const keys = modules.map((module) => below(`${module}.${name}`));
      const joined = { name: below(`${modules.join('+')}.${name}`), keys };
      return joinedLeaf(file, joined, shape, dtype ?? null);
    },
    markUsed: (name) => void file.used.add(below(name)),
  };
}

function leafOf(file: Checkpoint, key: string, shape: Shape, dtype: 'f32' | 'compute' | null): Value {
  const type = typeOf(file, key, shape, dtype);
  const trained = file.hooks.trained?.(key, shape) ?? null;
  return trained ?? weight(file.graph, `${file.component}/${key}`, shape, type);
}

function joinedLeaf(
  file: Checkpoint,
  { name, keys }: { name: string; keys: readonly string[] },
  shape: Shape,
  dtype: 'f32' | 'compute' | null,
): Value {
  const [type] = keys.map((key) => typeOf(file, key, shape, dtype));
  const named = (key: string): string => `${file.component}/${key}`;
  const [rows, ...sizes] = shape;
  return weight(file.graph, named(name), [keys.length * rows!, ...sizes], type!, keys.map(named));
}

/** The type of the leaf of a tensor, which is checked and marked as used. */
function typeOf(file: Checkpoint, key: string, shape: Shape, dtype: 'f32' | 'compute' | null): DType {
  const info = file.tensors.get(key);
  const expected = fileShapeOf(shape);
  if (!info) throw missingKey(file, key, expected);
  if (info.shape.join() !== expected.join()) {
    throw wrong(file, key, `shape: expected [${expected.join(', ')}], got [${info.shape.join(', ')}]`, info);
  }
  const stored = GRAPH_DTYPE[info.dtype];
  if (!stored) throw wrong(file, key, `type: expected F32, F16 or BF16, got ${info.dtype}`, info);
  file.used.add(key);
  const { compute } = file.hooks;
  const matrix = compute ?? (dtype === 'f32' ? 'f32' : stored);
  const vector = (dtype === 'compute' ? compute : undefined) ?? 'f32';
  return shape.length === 1 ? vector : matrix;
}

function fileNames(tensors: ReadonlyMap<string, TensorInfo>): string {
  const paths = [...new Set([...tensors.values()].flatMap((info) => info.path ?? []))];
  return paths.length === 0 ? '' : ` (in ${paths.join(', ')})`;
}

function missingKey({ component, tensors }: Checkpoint, key: string, shape: Shape): FileFormatError {
  return new FileFormatError(
    `[${component}] tensor '${key}': expected [${shape.join(', ')}], got no such key${fileNames(tensors)}`,
    { hint: `Check that the checkpoint of ${component} is complete and belongs to its config.json.` },
  );
}

function wrong({ component }: Checkpoint, key: string, what: string, info: TensorInfo): FileFormatError {
  const stored = info.key !== undefined && !info.key.endsWith(key) ? `, '${info.key}'` : '';
  return new FileFormatError(
    `[${component}] tensor '${key}': ${what}${info.path ? ` (in ${info.path}${stored})` : ''}`,
    {
      hint: `Check that the checkpoint of ${component} belongs to its config.json.`,
    },
  );
}

function extraKeys(component: string, tensors: ReadonlyMap<string, TensorInfo>, keys: string[]): FileFormatError {
  const named = keys.slice(0, NAMED_KEYS).map((key) => `'${key}'`);
  const rest = keys.length > NAMED_KEYS ? ` and ${keys.length - NAMED_KEYS} more` : '';
  return new FileFormatError(
    `[${component}] expected only the model's keys, got outside it: ${named.join(', ')}${rest}${fileNames(tensors)}`,
    { hint: 'The checkpoint holds a model that is not implemented, or one other than its config.json describes.' },
  );
}
