import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NativeAddonError } from '../errors.js';
import { PLAN_FORMAT } from '../plan/encode.js';
import { fromNative, translated } from './errors.js';
import type {
  AddonInfo,
  CudaInfo,
  Engine,
  EngineOptions,
  NativeAddon,
  Program,
  RunOptions,
  WeightSource,
} from './surface.js';

/** The engine as C++ gives it: like Engine, but with plain errors, and reading into an array. */
interface RawEngine extends Omit<Engine, 'readState'> {
  readState(name: string, offset: number, into: Float32Array): Float32Array;
}

/** Where to look for the CUDA backend and NVIDIA's libraries: native/core/backend_library.h. */
interface LibrarySearch {
  folder: string;
  library: string | undefined;
  nvidiaRoot: string | undefined;
}

interface RawAddon {
  createEngine(options: EngineOptions & { search: LibrarySearch }): RawEngine;
  info(): Omit<AddonInfo, 'cuda'>;
  cuda(search: LibrarySearch): CudaInfo;
}

const HINT = `Build it: npx tlora build
npm 12, pnpm and bun do not run install scripts of dependencies unless you approve them (npm install-scripts approve tlora && npm rebuild).`;

/** What to do about an addon that cannot be used. */
function hint(): string {
  return process.env.TLORA_ADDON
    ? 'TLORA_ADDON names it: correct or unset that, or build the addon: npx tlora build'
    : HINT;
}

/** The package's own folder: this file is lib/addon/load.ts or dist/addon/load.js. */
export function packageRoot(): string {
  return resolve(dirname(fileURLToPath(import.meta.url)), '..', '..');
}

/** The addon's file, or undefined when there is none. */
export function addonPath(): string | undefined {
  return addonCandidates().find((candidate) => existsSync(candidate));
}

/** Where the addon may be, first match first: TLORA_ADDON, a local build, the prebuilt one of the package. */
export function addonCandidates(): string[] {
  const explicit = process.env.TLORA_ADDON;
  if (explicit) return [resolve(explicit)];
  const platform = `${process.platform}-${process.arch}`;
  return [
    join(packageRoot(), 'build', 'Release', 'tlora.node'),
    join(packageRoot(), 'prebuilds', platform, 'tlora.node'),
  ];
}

function open(path: string): RawAddon {
  const bindings = createRequire(import.meta.url)('bindings') as typeof import('bindings');
  try {
    return bindings({ bindings: 'tlora.node', module_root: packageRoot(), try: [[path]] }) as RawAddon;
  } catch (cause) {
    throw new NativeAddonError(`The native addon ${path} cannot be opened: ${(cause as Error).message}`, {
      hint: hint(),
      cause,
    });
  }
}

let loaded: NativeAddon | undefined;

/**
 * The native addon, opened on first use.
 * @throws NativeAddonError when it is missing, cannot be opened, or was built for another version of the plan
 */
export function loadAddon(): NativeAddon {
  if (loaded) return loaded;
  const path = addonPath();
  if (path === undefined) {
    throw new NativeAddonError(`The native addon is missing: looked for ${addonCandidates().join(' and ')}`, {
      hint: hint(),
    });
  }
  const raw = open(path);
  const { planFormat } = raw.info();
  if (planFormat !== PLAN_FORMAT) {
    throw new NativeAddonError(`The native addon ${path} reads plan format ${planFormat}, expected ${PLAN_FORMAT}`, {
      hint: hint(),
    });
  }
  loaded = {
    path,
    createEngine: (options) =>
      translated(() => wrapEngine(raw.createEngine({ ...options, search: librarySearch(path) }))),
    info: () => ({
      ...raw.info(),
      get cuda() {
        return raw.cuda(librarySearch(path));
      },
    }),
  };
  return loaded;
}

function librarySearch(addon: string): LibrarySearch {
  const { TLORA_CUDA_LIBRARY: library, TLORA_NVIDIA_ROOT: nvidiaRoot } = process.env;
  return { folder: dirname(addon), library, nvidiaRoot };
}

function wrapEngine(raw: RawEngine): Engine {
  const settle = <T>(promise: Promise<T>): Promise<T> =>
    promise.catch((error: unknown) => {
      throw fromNative(error);
    });
  const call =
    <A extends unknown[], R>(method: (...args: A) => R): ((...args: A) => R) =>
    (...args) =>
      translated(() => method.apply(raw, args));
  return {
    loadWeights: (weights: readonly WeightSource[]) => settle(translated(() => raw.loadWeights(weights))),
    loading: call(raw.loading),
    addWeight: call(raw.addWeight),
    releaseWeights: call(raw.releaseWeights),
    createState: call(raw.createState),
    releaseState: call(raw.releaseState),
    writeState: call(raw.writeState),
    readState: (name, offset, count) => translated(() => raw.readState(name, offset, new Float32Array(count))),
    load: (plan) => translated(() => wrapProgram(raw.load(plan), settle)),
    cancel: call(raw.cancel),
    memory: call(raw.memory),
    choices: call(raw.choices),
    useChoices: call(raw.useChoices),
    suggestChoices: call(raw.suggestChoices),
    dispose: call(raw.dispose),
  };
}

function wrapProgram(raw: Program, settle: <T>(promise: Promise<T>) => Promise<T>): Program {
  return {
    write: (input, values) => translated(() => raw.write(input, values)),
    read: (result) => translated(() => raw.read(result)),
    run: (options: RunOptions = {}) => settle(translated(() => raw.run(options))),
    dispose: () => raw.dispose(),
  };
}
