import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { filesBelow, read } from './trackedFiles.js';

/** Rooms of lib/ and what each may import, beside itself and `errors`. docs/design.md explains the table. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  graph: [],
  schedulers: [],
  random: [],
  world: ['random'],
  io: [],
  options: [],
  ops: ['graph'],
  transform: ['graph', 'ops'],
  plan: ['graph', 'transform'],
  params: ['graph', 'io'],
  models: ['graph', 'ops', 'params'],
  adapters: ['graph', 'ops', 'params', 'io', 'random'],
  addon: ['graph', 'plan'],
  pipeline: [
    'graph',
    'ops',
    'transform',
    'plan',
    'params',
    'models',
    'adapters',
    'schedulers',
    'random',
    'io',
    'addon',
  ],
  generate: [
    'graph',
    'ops',
    'transform',
    'plan',
    'params',
    'models',
    'adapters',
    'schedulers',
    'random',
    'io',
    'addon',
    'options',
    'pipeline',
  ],
  convert: ['adapters', 'schedulers', 'io', 'options', 'pipeline', 'generate'],
  train: [
    'graph',
    'ops',
    'transform',
    'plan',
    'params',
    'models',
    'adapters',
    'schedulers',
    'random',
    'io',
    'addon',
    'options',
    'pipeline',
    'generate',
  ],
  pretrain: [
    'graph',
    'ops',
    'transform',
    'plan',
    'params',
    'models',
    'schedulers',
    'random',
    'io',
    'addon',
    'pipeline',
    'train',
    'world',
  ],
  evaluate: [
    'schedulers',
    'adapters',
    'graph',
    'ops',
    'plan',
    'params',
    'models',
    'random',
    'io',
    'addon',
    'options',
    'pipeline',
    'generate',
    'train',
    'world',
    'pretrain',
  ],
  report: ['adapters', 'io', 'options', 'train', 'generate'],
  demo: ['io', 'train', 'generate', 'world', 'evaluate', 'report'],
  study: ['adapters', 'random', 'io', 'train', 'world', 'evaluate'],
  cli: [
    'convert',
    'demo',
    'report',
    'evaluate',
    'train',
    'generate',
    'adapters',
    'io',
    'plan',
    'models',
    'addon',
    'options',
  ],
  index: ['convert', 'report', 'train', 'generate', 'adapters', 'io', 'plan', 'models', 'addon', 'options', 'cli'],
};

/** The one room, or the few, in which each dependency may be used. */
const DEPENDENCIES: Readonly<Record<string, readonly string[]>> = {
  commander: ['cli'],
  zod: ['options', 'train', 'generate', 'convert', 'report'],
  sharp: ['io'],
  '@huggingface/tokenizers': ['io'],
  bindings: ['addon'],
};

/** Rooms of native/ and what each may include, beside itself. Kernels never see Node-API, and core sees no kernel. */
const NATIVE_ROOMS: Readonly<Record<string, readonly string[]>> = {
  core: [],
  cpu: ['core'],
  cuda: ['core'],
  addon: ['core'],
};

interface Edge {
  file: string;
  from: string;
  to: string;
  typeOnly: boolean;
}

function roomOf(path: string): string {
  return path.includes('/') ? path.split('/')[0]! : path.replace(/\.[jt]s$/, '');
}

const IMPORT = /^(?:import|export)\s+(type\s)?[^'";]*?from\s+'([^']+)'|^import\s+'([^']+)'|\bimport\('([^']+)'\)/gm;

/** Imports in one file of lib/; `path` is relative to lib/. */
function importsOf(path: string, text: string): Edge[] {
  return [...text.matchAll(IMPORT)].map(([, type, ...names]) => {
    const name = names.find((n) => n !== undefined)!;
    const to = name.startsWith('.') ? roomOf(posix.join(posix.dirname(path), name)) : name;
    return { file: `lib/${path}`, from: roomOf(path), to, typeOnly: type !== undefined };
  });
}

const edges = filesBelow('lib')
  .filter((path) => path.endsWith('.ts'))
  .flatMap((path) => importsOf(path.slice('lib/'.length), read(path)));
const shown = ({ file, to }: Edge): string => `${file} imports ${to}`;

describe('rooms of lib', () => {
  it('are all in the table', () => {
    const rooms = new Set(filesBelow('lib').map((path) => roomOf(path.slice('lib/'.length))));
    expect([...rooms].filter((room) => !Object.hasOwn(ROOMS, room))).toEqual([]);
  });

  it('import only what the table allows', () => {
    const wrong = edges.filter(
      ({ from, to }) => Object.hasOwn(ROOMS, to) && to !== from && to !== 'errors' && !ROOMS[from]!.includes(to),
    );
    expect(wrong.map(shown)).toEqual([]);
    expect(edges.length).toBeGreaterThan(100); // the pattern still finds imports
  });

  it('never point outside lib', () => {
    const outside = edges.filter(({ to }) => to.startsWith('..'));
    expect(outside.map(shown)).toEqual([]);
  });

  it('use each dependency where it belongs, and no other package', () => {
    const wrong = edges.filter(
      ({ from, to }) => !Object.hasOwn(ROOMS, to) && !to.startsWith('node:') && !DEPENDENCIES[to]?.includes(from),
    );
    expect(wrong.map(shown)).toEqual([]);
  });

  it('are found by the pattern in every form of import', () => {
    const text =
      "import { a } from '../ops/a.js';\nimport type { b } from './b.js';\nimport {\n  c,\n} from 'zod';\nexport * from '../plan/c.js';\nconst d = await import('../io/d.js');\nimport 'sharp';\n";
    expect(importsOf('train/x.ts', text).map(({ to, typeOnly }) => [to, typeOnly])).toEqual([
      ['ops', false],
      ['train', true],
      ['zod', false],
      ['plan', false],
      ['io', false],
      ['sharp', false],
    ]);
  });
});

describe('rooms of native', () => {
  const sources = filesBelow('native').filter((path) => /\.(cpp|h|cu|cuh)$/.test(path));
  const includes = sources.flatMap((path) => {
    const own = path.split('/')[1]!;
    return [...read(path).matchAll(/^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)/gm)].map(([, local, system]) => {
      const inside =
        local === undefined ? undefined : local.startsWith('.') ? posix.join('native', own, local) : `native/${local}`;
      const to = inside?.split('/').length === 2 ? own : inside?.split('/')[1];
      return { path, own, to, system };
    });
  });

  it('are all in the table', () => {
    expect(
      [...new Set(sources.map((path) => path.split('/')[1]!))].filter((room) => !Object.hasOwn(NATIVE_ROOMS, room)),
    ).toEqual([]);
  });

  it('include only what the table allows', () => {
    const wrong = includes.filter(({ own, to }) => to !== undefined && to !== own && !NATIVE_ROOMS[own]?.includes(to));
    expect(wrong.map(({ path, to }) => `${path} includes ${to}`)).toEqual([]);
    expect(includes.length).toBeGreaterThan(50);
  });

  it('know Node-API only in native/addon', () => {
    const wrong = includes.filter(({ own, system, to }) => own !== 'addon' && /napi|node_api/.test(`${system} ${to}`));
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });
});
