import { type Command, Option } from 'commander';
import { writeFileAtomic } from '../io/atomicFile.js';
import { formatBytes } from '../plan/byteSize.js';
import { encodePlan } from '../plan/encode.js';
import type { PlanReport } from '../train/forecast.js';
import type { PlanTrainingOptions } from '../train/planOptions.js';
import type { CliContext } from './context.js';
import { addDeviceOptions } from './deviceOptions.js';
import { addModelOptions } from './modelOptions.js';
import { parseNumber } from './numbers.js';
import { requireFlags } from './requiredFlags.js';

type PlanFlags = PlanTrainingOptions & { emit?: string; json?: boolean };

const count = (n: number): string => n.toLocaleString('en-US');

/** The report without its graph and plan: numbers and names only. */
function summary(report: PlanReport): Omit<PlanReport, 'plan' | 'graph'> {
  const { plan: _plan, graph: _graph, ...rest } = report;
  return rest;
}

/** What `tlora plan` prints. */
export function planText(report: Omit<PlanReport, 'plan' | 'graph'>): string {
  const { forecast, arenaBytes, livePeakBytes, recomputed } = report;
  const waste = livePeakBytes > 0 ? ((arenaBytes / livePeakBytes - 1) * 100).toFixed(1) : '0.0';
  const rows: [string, string][] = [
    ['device', `${report.device === 'cpu' ? 'CPU' : 'CUDA'}, ${report.precision}`],
    ['parameters', count(report.parameters)],
    ['trained values', `${count(report.trainedValues)} in ${count(report.adaptedLinears)} adapted linears`],
    ['ops forward', count(report.opsForward)],
    ['ops backward', count(report.opsBackward)],
    ['ops update', count(report.opsUpdate)],
    ['arena', `${formatBytes(arenaBytes)} (${waste} % above the live peak of ${formatBytes(livePeakBytes)})`],
    ['weights', formatBytes(forecast.weightBytes)],
    ['trained state', formatBytes(forecast.stateBytes)],
    ['inputs, results', formatBytes(forecast.ioBytes)],
    [report.device === 'cpu' ? 'thread memory' : 'workspace', formatBytes(forecast.workspaceBytes)],
    ['total peak', formatBytes(forecast.totalBytes)],
    ['recomputed', recomputed.length === 0 ? 'nothing' : `${recomputed.length} blocks:`],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
  return [...lines, ...recomputed.map((block) => `  ${block}`), ''].join('\n');
}

/** `tlora plan`: what training would need, from the configs and headers alone. */
export function addPlanCommand(program: Command, context: CliContext): void {
  const command = addModelOptions(
    program.command('plan').description('show what training would need, without reading weights'),
  )
    .option('--resolution <pixels>', 'side of the training picture (default: the model’s own)', parseNumber)
    .option('--batch <n>', 'samples a step (default: 1)', parseNumber)
    .option('--accumulate <n>', 'batches summed into one optimizer step (default: 1)', parseNumber)
    .option('--rank <n>', 'components of each adapter (default: 64)', parseNumber)
    .addOption(
      new Option('--variant <name>', 'kind of adapter (default: tlora)').choices(['tlora', 'vanilla', 'ortho', 'lora']),
    )
    .option('--memory <size>', 'plan within this, such as 9GB, by recomputing blocks')
    .option('--threads <n>', 'CPU threads (default: all cores)', parseNumber)
    .option('--emit <file>', 'write the encoded plan of one training step')
    .option('--json', 'print the numbers as JSON');
  requireFlags(addDeviceOptions(command), ['model']).action(async ({ emit, json, ...options }: PlanFlags) => {
    const { planTraining } = await context.parts.plan();
    const begun = context.now();
    const report = planTraining(options);
    context.err.write(`planned in ${((context.now() - begun) / 1000).toFixed(2)} s\n`);
    if (emit !== undefined) {
      await writeFileAtomic(emit, encodePlan(report.plan));
      context.err.write(`plan written to ${emit}\n`);
    }
    context.out.write(json ? `${JSON.stringify(summary(report))}\n` : planText(summary(report)));
  });
}
