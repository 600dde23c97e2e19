// npm run bench -- <name> [options]
import { benchGenerate, GENERATE_USAGE } from './generate.js';
import { benchConv, CONV_USAGE } from './ops/conv.js';
import { benchGemm, GEMM_USAGE } from './ops/gemm.js';
import { benchOps, OPS_USAGE } from './ops/ops.js';
import { benchScaling, SCALING_USAGE } from './ops/scaling.js';
import { benchStart, START_USAGE } from './ops/start.js';
import { benchStep, STEP_USAGE } from './step.js';

const BENCHES: Readonly<Record<string, { run: (args: readonly string[]) => void | Promise<void>; usage: string }>> = {
  conv: { run: benchConv, usage: CONV_USAGE },
  gemm: { run: benchGemm, usage: GEMM_USAGE },
  generate: { run: benchGenerate, usage: GENERATE_USAGE },
  ops: { run: benchOps, usage: OPS_USAGE },
  scaling: { run: benchScaling, usage: SCALING_USAGE },
  start: { run: benchStart, usage: START_USAGE },
  step: { run: benchStep, usage: STEP_USAGE },
};

const [name = '', ...args] = process.argv.slice(2);
const bench = BENCHES[name];
if (!bench || args.includes('--help')) {
  console.error((bench ? [bench] : Object.values(BENCHES)).map(({ usage }) => usage).join('\n\n'));
  process.exitCode = bench ? 0 : 2;
} else {
  try {
    await bench.run(args);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
