// The TypeScript example of README.md, so that the compiler checks it; docs.test.ts compares the two line by line.
import { generate, train } from '../../lib/index.js';

export async function readmeExample(model: string, signal: AbortSignal): Promise<unknown> {
  const { adapterPath } = await train({ model, image: 'photo.jpg', className: 'dog', outputDir: 'runs/dog' });

  const run = train({ model, image: 'photo.jpg', className: 'dog', outputDir: 'runs/dog-2', signal });
  for await (const event of run) if (event.type === 'step') console.log(event.step, event.loss);
  const result = await run; // run.stop() would have saved and resolved early; run.abort() rejects and writes nothing more

  const { pictures } = await generate({ model, adapter: adapterPath, prompt: 'a {0} on the beach', count: 4 });
  return { result, pictures };
}
