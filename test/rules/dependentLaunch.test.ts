// Every kernel may be launched before the one before it has ended (native/cuda/dependents.h): it waits for that first of all.
import { expect, test } from 'vitest';
import { filesBelow, read } from './trackedFiles.js';

interface Kernel {
  readonly name: string;
  readonly first: string;
}

/** The kernels of a source, each with the first statement of its body. */
function kernelsOf(source: string): Kernel[] {
  const code = source.replace(/\/\/.*$/gm, '');
  return code
    .split(/\b__global__\b/)
    .slice(1)
    .map(kernelIn);
}

/** Of what follows `__global__`: the body begins at the first brace that is in no parenthesis, the name stands before the last parenthesis before it. */
function kernelIn(text: string): Kernel {
  let depth = 0;
  let name = '';
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '(' && depth++ === 0) name = /\w+\s*$/.exec(text.slice(0, i))?.[0].trim() ?? '';
    if (text[i] === ')') depth--;
    if (text[i] === '{' && depth === 0) return { name, first: text.slice(i + 1, text.indexOf(';', i) + 1).trim() };
  }
  return { name, first: '' };
}

const sources = filesBelow('native/cuda').filter((file) => /\.(?:cu|h)$/.test(file));

test('the scan sees a kernel that waits late or not at all', () => {
  const source = `
    template <class T>
    __global__ void __launch_bounds__(sizeof(T), 2) late(T* y) { y[0] = 1; waitForPrevious(); }
    __global__ void never(float* y, int n = int{3}) {}
    __global__ void commented() {
      // waitForPrevious();
      work();
    }
    __global__ void waits() {
      waitForPrevious();
      work();
    }`;
  const late = kernelsOf(source).filter((kernel) => kernel.first !== 'waitForPrevious();');
  expect(late.map((kernel) => kernel.name)).toEqual(['late', 'never', 'commented']);
});

test.each(sources.filter((file) => /\b__global__\b/.test(read(file))))('the kernels of %s wait first', (file) => {
  const kernels = kernelsOf(read(file));
  expect(kernels.filter((kernel) => kernel.first !== 'waitForPrevious();').map((kernel) => kernel.name)).toEqual([]);
});

test('kernels are in these files, and launched by launch.h alone', () => {
  const all = sources.flatMap((file) => kernelsOf(read(file)));
  expect(all.length).toBeGreaterThan(50);
  const launching = sources.filter((file) => /<<<|cudaLaunch(?:Cooperative)?Kernel/.test(read(file)));
  expect(launching).toEqual(['native/cuda/launch.h']);
});
