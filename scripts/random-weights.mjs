// Random weights, quickly: a tensor's values are drawn from a table of 4,096 normal quantiles that is scaled and
// rounded to the stored type once.

const TABLE_BITS = 12;
const TABLE_SIZE = 2 ** TABLE_BITS;

/** xoshiro128**: returns a function that gives 32 random bits. */
export function randomBits(seed) {
  const state = Uint32Array.from({ length: 4 }, (_, i) => splitMix(seed + Math.imul(i + 1, 0x9e3779b9)));
  let [a, b, c, d] = state;
  return () => {
    const product = Math.imul(b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9);
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = (d << 11) | (d >>> 21);
    return result >>> 0;
  };
}

function splitMix(value) {
  let x = value >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}

/**
 * Values at the middles of 4,096 equally likely intervals of the unit normal, by summing its density.
 */
function normalQuantiles() {
  const values = new Float64Array(TABLE_SIZE);
  const step = 1 / 4096;
  let sum = 0;
  let x = -6;
  for (let i = 0; i < TABLE_SIZE / 2; i++) {
    const wanted = (i + 0.5) / TABLE_SIZE;
    for (; sum < wanted; x += step)
      sum += (step * Math.exp((-(x + step / 2) * (x + step / 2)) / 2)) / Math.sqrt(2 * Math.PI);
    values[i] = x;
    values[TABLE_SIZE - 1 - i] = -x;
  }
  return values;
}

const QUANTILES = normalQuantiles();
const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

function toBfloat16(value) {
  float[0] = value;
  return (bits[0] + 0x7fff + ((bits[0] >>> 16) & 1)) >>> 16;
}

/** Nearest, for values far below the largest float16. */
function toFloat16(value) {
  float[0] = Math.abs(value);
  const rebiased = bits[0] - 0x38000000; // the exponent bias goes from 127 to 15
  const magnitude =
    float[0] < 2 ** -14 ? Math.round(float[0] * 2 ** 24) : (rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13;
  return (value < 0 ? 0x8000 : 0) | magnitude;
}

const STORES = {
  float32: { dtype: 'F32', bytes: 4, Values: Float32Array, store: (value) => value },
  float16: { dtype: 'F16', bytes: 2, Values: Uint16Array, store: toFloat16 },
  bfloat16: { dtype: 'BF16', bytes: 2, Values: Uint16Array, store: toBfloat16 },
};

/** The dtypes that can be written: name in safetensors and bytes of an element. */
export const DTYPES = Object.fromEntries(
  Object.entries(STORES).map(([name, { dtype, bytes: size }]) => [name, { dtype, bytes: size }]),
);

/**
 * Standard deviation of a tensor's values; 0 for constants. Products keep the size of what they are given: 1/√fan-in.
 */
function deviationOf({ role, shape }) {
  if (role === 'weight') return 1 / Math.sqrt(shape.slice(1).reduce((product, side) => product * side, 1));
  return role === 'embedding' ? 0.02 : 0;
}

/** Fills pieces of at most `pieceElements` values with the tensor's content and hands their bytes to `write`. */
export function writeTensor(tensor, dtypeName, random, write, pieceElements = 2 ** 22) {
  const { Values, store } = STORES[dtypeName];
  const count = tensor.shape.reduce((product, side) => product * side, 1);
  const deviation = deviationOf(tensor);
  const piece = new Values(Math.min(count, pieceElements)).fill(store(tensor.role === 'norm' ? 1 : 0));
  const table = deviation > 0 ? Values.from(QUANTILES, (quantile) => store(quantile * deviation)) : undefined;
  for (let done = 0; done < count; done += piece.length) {
    const length = Math.min(piece.length, count - done);
    if (table !== undefined) fillFromTable(piece, length, table, random);
    write(new Uint8Array(piece.buffer, 0, length * piece.BYTES_PER_ELEMENT));
  }
}

function fillFromTable(piece, length, table, random) {
  for (let i = 0; i < length; i += 2) {
    const drawn = random();
    piece[i] = table[drawn >>> (32 - TABLE_BITS)];
    if (i + 1 < length) piece[i + 1] = table[(drawn >>> 4) & (TABLE_SIZE - 1)];
  }
}
