// Trains the mini base model with tlora's own engine, in slices of any length: `npm run pretrain -- --stage vae --out runs/mini --minutes 30`.
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { chooseFloat32Device } from '../lib/pipeline/device.js';
import {
  exportModel,
  miniPlan,
  pretrainText,
  pretrainUnet,
  pretrainVae,
  probeSchedule,
} from '../lib/pretrain/pretrain.js';
import { MINI_SETTINGS } from '../lib/pretrain/settings.js';
import { deviceOf } from './device-flags.js';

const USAGE = `npm run pretrain -- --stage STAGE --out DIR [options]
  --stage STAGE   vae: the autoencoder · probe: what its latents show under noise, to check the schedule · text: the text encoder alone · unet: UNet and text encoder, on both finished · export: write the model as it stands
  --out DIR       folder of the run: state, log, curve and pictures of each stage, and model/. A run that is there goes on
  --minutes N     begin no step after N minutes
  --steps N       stop after step N of the stage
  --threads N     default: all cores
  --device NAME   auto, cpu, cuda or cuda:N; default auto
  --precision T   fp32, the default, or tf32 on CUDA
  --model DIR     export: where to; default DIR/model of --out`;

function readArguments() {
  const { values } = parseArgs({
    options: {
      stage: { type: 'string' },
      out: { type: 'string' },
      minutes: { type: 'string' },
      steps: { type: 'string' },
      threads: { type: 'string', default: String(availableParallelism()) },
      device: { type: 'string', default: 'auto' },
      precision: { type: 'string', default: 'fp32' },
      model: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const number = (name: 'minutes' | 'steps' | 'threads', pattern: RegExp): number | undefined => {
    const value = values[name];
    if (value === undefined) return undefined;
    if (!pattern.test(value)) throw new Error(`--${name}: expected a number above 0, got ${value}\n\n${USAGE}`);
    return Number(value);
  };
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  const { stage, out, model } = values;
  if (stage !== 'vae' && stage !== 'text' && stage !== 'unet' && stage !== 'probe' && stage !== 'export')
    throw new Error(`--stage: expected vae, probe, text, unet or export, got ${stage}\n\n${USAGE}`);
  if (out === undefined) throw new Error(`--out: expected a folder\n\n${USAGE}`);
  const minutes = number('minutes', /^\d+(\.\d+)?$/);
  const [steps, threads] = [number('steps', /^[1-9]\d*$/), number('threads', /^[1-9]\d*$/)!];
  return {
    stage,
    out,
    model,
    minutes,
    steps,
    threads,
    device: () => deviceOf(values, threads, chooseFloat32Device),
  } as const;
}

async function main(): Promise<void> {
  const { stage, out, model, minutes, steps, threads, device } = readArguments();
  const plan = miniPlan(MINI_SETTINGS);
  if (stage === 'export') {
    await exportModel(plan, out, model ?? `${out}/model`);
    return;
  }
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
  const options = {
    dir: out,
    threads,
    device: device(),
    untilStep: steps,
    untilTime: minutes === undefined ? undefined : Date.now() + minutes * 60_000,
    signal: stop.signal,
    onLine: (line: Readonly<Record<string, number>>) => {
      const shown = Object.entries(line).map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`);
      console.log(`${stage} ${shown.join(' · ')}`);
    },
  };
  if (stage === 'probe') {
    console.table((await probeSchedule(plan, options)) ?? 'not finished');
    return;
  }
  const { step, finished } = await { vae: pretrainVae, text: pretrainText, unet: pretrainUnet }[stage](plan, options);
  console.log(`${stage}: ${step} of ${plan.settings[stage].steps} steps${finished ? ', finished' : ''}`);
}

await main();
