// The demo of a checkout without models/mini: trains on a picture and makes pictures with a tiny model of random weights. It shows that
// everything works, not what it can do. All files go to runs/demo, which the next demo replaces.
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';

const root = path.resolve(import.meta.dirname, '..');
const folder = path.join('runs', 'demo'); // relative to root, so that printed commands are short
const model = path.join(folder, 'model');
const picture = path.join(folder, 'ball.png');
const cli = path.join('dist', 'cli', 'main.js');

function run(title, script, args) {
  console.log(
    `\n── ${title}\n$ node ${[script, ...args].map((arg) => (/[\s{]/.test(arg) ? `"${arg}"` : arg)).join(' ')}`,
  );
  const { status } = spawnSync(process.execPath, [script, ...args], { cwd: root, stdio: 'inherit' });
  if (status !== 0) throw new Error(`${title}: exit status ${status}`);
}

/** A red ball on a lawn under a blue sky, 160 × 120. */
async function paint(file) {
  const [width, height] = [160, 120];
  const pixels = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [dx, dy] = [(x - 80) / 34, (y - 66) / 34];
      const light = 1 - 0.6 * Math.hypot(dx + 0.4, dy + 0.4);
      const sky = [120 + y, 160 + y / 2, 235];
      const lawn = [60, 130 + ((x * 7 + y * 13) % 23), 50];
      const ball = [225 * light + 30, 60 * light, 50 * light];
      const colour = dx * dx + dy * dy < 1 ? ball : y < 80 ? sky : lawn;
      pixels.set(
        colour.map((c) => Math.max(0, Math.min(255, Math.round(c)))),
        (y * width + x) * 3,
      );
    }
  }
  await sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toFile(path.join(root, file));
}

/** Runs it. */
export async function randomDemo() {
  console.log(
    'This demo uses a tiny model with random weights: its pictures are noise. It shows every step of the real work.',
  );
  mkdirSync(path.join(root, folder), { recursive: true });
  run('a tiny pipeline with random weights', 'scripts/make-random-model.mjs', ['--shape', 'tiny-sd15', '--out', model]);
  await paint(picture);
  console.log(`\n── a picture to train on: ${picture}`);
  const trained = path.join(folder, 'ball');
  const small = ['--rank', '8', '--steps', '20', '--learning-rate', '1e-3'];
  run('training', cli, [
    'train',
    picture,
    '--model',
    model,
    '--class',
    'ball',
    '--token',
    'sks',
    ...small,
    '--out',
    trained,
    '--overwrite',
  ]);
  const adapter = path.join(trained, 'adapter.safetensors');
  const pictures = path.join(folder, 'pictures');
  const prompt = ['--prompt', 'a {0} on the moon', '--count', '2', '--steps', '10'];
  run('sampling', cli, ['generate', '--model', model, '--adapter', adapter, ...prompt, '--out', pictures]);
  console.log(`\nDone. The pictures in ${pictures} are noise, because the model’s weights are random.`);
  console.log('With a real Stable Diffusion folder, the same two commands train and sample for real.');
}
