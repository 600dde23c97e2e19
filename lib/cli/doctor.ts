import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import { deviceText, EXPECTED_CAPABILITY, isUsable } from '../addon/cudaDevices.js';
import { addonCandidates, loadAddon } from '../addon/load.js';
import type { AddonInfo, CudaInfo } from '../addon/surface.js';
import { TloraError } from '../errors.js';
import { loadSharp } from '../io/loadSharp.js';
import { formatBytes } from '../plan/byteSize.js';

/** One thing that `doctor` looked at. */
export interface Finding {
  readonly name: string;
  /** false: needed, and missing or broken; undefined: good to know, not needed. */
  readonly ok?: boolean;
  readonly text: string;
  /** What to do about it. */
  readonly fix?: string;
}

/** What this machine has. `ok` when nothing that tlora needs is missing. */
export interface DoctorReport {
  readonly ok: boolean;
  readonly findings: readonly Finding[];
}

/** What `doctor` asks the machine; tests answer instead. */
export interface Machine {
  readonly nodeVersion: string;
  /** Where the addon may be, first match first. */
  readonly candidates: readonly string[];
  exists(path: string): boolean;
  /** First line of what a program prints with `--version`, or undefined when there is no such program. */
  version(program: string): string | undefined;
  /** Opens the addon in a process of its own, since a broken one can kill its process: undefined, or how it failed. */
  tryOpen(path: string): string | undefined;
  info(): AddonInfo;
  sharpVersion(): Promise<string>;
}

const LEAST_NODE = [20, 19] as const;

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
}

function nodeFinding({ nodeVersion }: Machine): Finding {
  const [major = 0, minor = 0] = nodeVersion.split('.').map(Number);
  const ok = major > LEAST_NODE[0] || (major === LEAST_NODE[0] && minor >= LEAST_NODE[1]);
  const fix = `Install Node.js ${LEAST_NODE.join('.')} or newer.`;
  return { name: 'Node.js', ok, text: nodeVersion, ...(ok ? {} : { fix }) };
}

function toolFinding(machine: Machine, programs: readonly string[], needed: boolean): Finding {
  const found = programs.map((program) => machine.version(program)).find((version) => version !== undefined);
  const name = programs[0]!;
  if (found !== undefined) return { name, text: found };
  const fix = `Install ${programs.join(' or ')} (Debian, Ubuntu: apt install ${name}).`;
  return needed
    ? { name, ok: false, text: 'not found; building the addon needs it', fix }
    : { name, text: 'not found; only building the addon needs it' };
}

/** The addon, what it says of processor and CUDA, and the build tools when it is missing. */
function addonFindings(machine: Machine): Finding[] {
  const path = machine.candidates.find((candidate) => machine.exists(candidate));
  const tools = (needed: boolean): Finding[] => [
    toolFinding(machine, ['g++', 'clang++'], needed),
    toolFinding(machine, ['cmake'], needed),
  ];
  const broken = (text: string): Finding[] => [
    { name: 'addon', ok: false, text, fix: 'Build it: npx tlora build' },
    ...tools(true),
  ];
  if (path === undefined) return broken(`not found: looked for ${machine.candidates.join(' and ')}`);
  const failure = machine.tryOpen(path);
  if (failure !== undefined) return broken(`${path} cannot be opened: ${failure}`);
  let info: AddonInfo;
  try {
    info = machine.info();
  } catch (error) {
    return broken(firstLine(error));
  }
  const { compiler, napi, planFormat, cpu, cuda } = info;
  return [
    { name: 'addon', ok: true, text: path },
    { name: 'built with', text: `${compiler}, Node-API ${napi}, plan format ${planFormat}` },
    { name: 'instructions', text: cpu.length > 0 ? cpu.join(' ') : 'none beyond the platform’s own' },
    ...cudaFindings(cuda),
    ...tools(false),
  ];
}

/** The devices and what they go without, or in one line what is missing. */
function cudaFindings({ found, reason, lacking, devices }: CudaInfo): Finding[] {
  if (!found) return [{ name: 'CUDA', text: `not used: ${reason}` }];
  const listed = devices.map((device) => {
    const text = deviceText(device);
    return { name: 'CUDA', text: isUsable(device) ? text : `not used: ${EXPECTED_CAPABILITY}, found ${text}` };
  });
  return lacking === '' ? listed : [...listed, { name: 'CUDA', text: lacking }];
}

async function sharpFinding(machine: Machine): Promise<Finding> {
  try {
    return { name: 'sharp', ok: true, text: await machine.sharpVersion() };
  } catch (error) {
    const fix = error instanceof TloraError && error.hint !== undefined ? error.hint : 'npm install sharp';
    return { name: 'sharp', ok: false, text: firstLine(error), fix };
  }
}

/** The machine that this process runs on. */
export function thisMachine(): Machine {
  return {
    nodeVersion: process.versions.node,
    candidates: addonCandidates(),
    exists: existsSync,
    version: (program) => {
      const { status, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
      return status === 0 ? stdout.split('\n')[0]!.trim() : undefined;
    },
    tryOpen: (path) => {
      const script = 'process.dlopen({ exports: {} }, process.argv[1])';
      const { status, signal, stderr } = spawnSync(process.execPath, ['-e', script, path], { encoding: 'utf8' });
      if (status === 0) return undefined;
      return signal ?? /^Error: (.*)$/m.exec(stderr)?.[1] ?? `exit status ${status}`;
    },
    info: () => loadAddon().info(),
    sharpVersion: async () => (await loadSharp()).versions.sharp ?? 'found',
  };
}

/** Looks at all that tlora needs on this machine: Node, addon, processor, CUDA, memory, and the fix for what is missing. */
export async function doctor(machine: Machine = thisMachine()): Promise<DoctorReport> {
  const model = cpus()[0]?.model.trim() ?? process.arch;
  const npm = machine.version('npm');
  const findings: Finding[] = [
    nodeFinding(machine),
    { name: 'npm', text: npm ?? 'not found' },
    { name: 'platform', text: `${process.platform} ${process.arch}` },
    { name: 'processor', text: `${model}, ${availableParallelism()} threads` },
    { name: 'memory', text: `${formatBytes(freemem())} free of ${formatBytes(totalmem())}` },
    ...addonFindings(machine),
    await sharpFinding(machine),
  ];
  return { ok: findings.every(({ ok }) => ok !== false), findings };
}
