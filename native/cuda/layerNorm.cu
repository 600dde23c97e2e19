// y = xhat w + b, xhat = (x - mean) rstd over the last axis; w and b may be absent. x [rows, c]; mean and rstd [rows] float32.
// Gradient, with g = dy w: dx = rstd (g - mean(g) - xhat mean(g xhat)), added to `through` where that is given; dw = sum dy xhat, db = sum dy over rows.
// A warp has one row. What it reads stays in registers, up to 2048 channels of bf16 forward and 1280 backward (half of that of
// float32); the rest of a wider row is read again. Variance about the mean, in two steps; all sums float32. y may lie over x, dx over x, dy or
// through.
// Traffic: forward x read, y written; backward x, dy and through read, dx written; with dw or db, x and dy once more.
#include <cuda_runtime.h>

#include "cuda/channels.h"
#include "cuda/context.h"
#include "cuda/launch.h"
#include "cuda/reduce.h"
#include "cuda/shared.h"
#include "cuda/types.h"

namespace tlora::cuda {

namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;
constexpr int kKeptForward = 8, kKeptBackward = 5;  // units of a row in a lane's registers; backward, of two rows

// The units of a row that this lane has: lane, lane + 32, ...
template <int kKept>
struct Units {
  int64_t count;  // of the row
  bool packed;
  template <class T>
  __device__ int64_t at(int64_t unit) const {
    return packed ? unit * Pack<T>::size : unit;
  }
  // body(unit, k): k is the place among those kept, or kKept for the rest.
  template <class Body>
  __device__ void each(Body body) const {
    const int lane = int(threadIdx.x) % 32;
#pragma unroll
    for (int k = 0; k < kKept; k++) {
      if (lane + 32 * k < count) body(lane + 32 * k, k);
    }
    for (int64_t unit = lane + 32 * kKept; unit < count; unit += 32) body(unit, kKept);
  }
};

template <class T, int kKept>
struct Row {
  const T* row;
  Units<kKept> units;
  Pack<T> kept[kKept];
  __device__ Row(const T* row, Units<kKept> units) : row(row), units(units) {
    units.each([&](int64_t unit, int k) {
      if (k < kKept) kept[k] = loadUnit(row + units.template at<T>(unit), units.packed);
    });
  }
  __device__ Pack<T> at(int64_t unit, int k) const {
    return k < kKept ? kept[k] : loadUnit(row + units.template at<T>(unit), units.packed);
  }
};

template <class T>
__global__ void normaliseRows(const T* x, ChannelValues w, ChannelValues b, T* y, float* mean, float* rstd, int64_t rows, int64_t c, float eps,
                              bool packed) {
  waitForPrevious();
  constexpr int V = Pack<T>::size;
  const int64_t r = int64_t(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (r >= rows) return;
  const Units<kKeptForward> units{packed ? c / V : c, packed};
  const int width = packed ? V : 1;
  const Row<T, kKeptForward> row(x + r * c, units);
  float sum = 0, square = 0;
  units.each([&](int64_t unit, int k) {
    const Pack<T> pack = row.at(unit, k);
    for (int i = 0; i < V; i++) sum += toFloat(pack[i]);
  });
  const float m = warpSum(sum) / float(c);
  units.each([&](int64_t unit, int k) {
    const Pack<T> pack = row.at(unit, k);
    for (int i = 0; i < V; i++) {
      const float d = i < width ? toFloat(pack[i]) - m : 0.0f;
      square += d * d;
    }
  });
  const float s = 1 / sqrtf(warpSum(square) / float(c) + eps);
  units.each([&](int64_t unit, int k) {
    const int64_t at = units.template at<T>(unit);
    const Pack<T> pack = row.at(unit, k);
    float scale[V], shift[V];
    loadChannels(w, at, packed, 1, scale);
    loadChannels(b, at, packed, 0, shift);
    for (int i = 0; i < V; i++) shift[i] += (toFloat(pack[i]) - m) * s * scale[i];
    storeUnit(y + r * c + at, shift, packed);
  });
  if (threadIdx.x % 32 != 0) return;
  if (mean) mean[r] = m;
  if (rstd) rstd[r] = s;
}

template <class T>
__global__ void __launch_bounds__(kThreads, 2) gradientRows(const T* x, ChannelValues w, const float* mean, const float* rstd, const T* dy, const T* through,
                             T* dx, int64_t rows, int64_t c, bool packed) {
  waitForPrevious();
  constexpr int V = Pack<T>::size;
  const int64_t r = int64_t(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (r >= rows) return;
  const Units<kKeptBackward> units{packed ? c / V : c, packed};
  const Row<T, kKeptBackward> row(x + r * c, units), from(dy + r * c, units);
  const float m = mean[r], s = rstd[r];
  float sum = 0, product = 0;
  units.each([&](int64_t unit, int k) {
    const Pack<T> xs = row.at(unit, k), dys = from.at(unit, k);
    float g[V];
    loadChannels(w, units.template at<T>(unit), packed, 1, g);
    for (int i = 0; i < V; i++) {
      g[i] *= toFloat(dys[i]);  // 0 past a unit of one element
      sum += g[i];
      product += g[i] * ((toFloat(xs[i]) - m) * s);
    }
  });
  sum = warpSum(sum) / float(c);
  product = warpSum(product) / float(c);
  units.each([&](int64_t unit, int k) {
    const Pack<T> xs = row.at(unit, k), dys = from.at(unit, k);
    const int64_t at = units.template at<T>(unit);
    float g[V];
    loadChannels(w, at, packed, 1, g);
    for (int i = 0; i < V; i++) g[i] = __fmul_rn(s, g[i] * toFloat(dys[i]) - sum - (toFloat(xs[i]) - m) * s * product);
    if (through) {  // two roundings, as those of a sum of its own
      const Pack<T> other = loadUnit(through + r * c + at, packed);
      for (int i = 0; i < V; i++) g[i] += toFloat(other[i]);
    }
    storeUnit(dx + r * c + at, g, packed);
  });
}

// partial [blocks of rows, 2, c]: sums of dy xhat and of dy over `step` rows. A warp has every eighth row, a lane one unit.
template <class T>
__global__ void channelSums(const T* x, const float* mean, const float* rstd, const T* dy, float* partial, int64_t rows, int64_t c,
                            int64_t step, bool packed) {
  waitForPrevious();
  constexpr int V = Pack<T>::size;
  TLORA_SHARED(float, sums, kWarps * 32 * 2 * V);
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  const Units<kKeptBackward> units{packed ? c / V : c, packed};
  const int64_t unit = int64_t(blockIdx.x) * 32 + lane, at = units.template at<T>(unit);
  float weight[V] = {}, bias[V] = {};
  if (unit < units.count) {
    const int64_t begin = int64_t(blockIdx.y) * step, end = begin + step < rows ? begin + step : rows;
    for (int64_t r = begin + warp; r < end; r += kWarps) {
      const Pack<T> xs = loadUnit(x + r * c + at, packed), dys = loadUnit(dy + r * c + at, packed);
      for (int i = 0; i < V; i++) {
        bias[i] += toFloat(dys[i]);
        weight[i] += toFloat(dys[i]) * ((toFloat(xs[i]) - mean[r]) * rstd[r]);
      }
    }
  }
  for (int i = 0; i < V; i++) {
    sums[((warp * 2) * V + i) * 32 + lane] = weight[i];
    sums[((warp * 2 + 1) * V + i) * 32 + lane] = bias[i];
  }
  __syncthreads();
  const int width = packed ? V : 1;
  for (int place = warp; place < 2 * V; place += kWarps) {
    float sum = 0;
    for (int k = 0; k < kWarps; k++) sum += sums[(k * 2 * V + place) * 32 + lane];
    if (unit < units.count && place % V < width) partial[(int64_t(blockIdx.y) * 2 + place / V) * c + at + place % V] = sum;
  }
}

}  // namespace

void layerNorm(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &w = call.in[1], &b = call.in[2];
  const int64_t rows = x.rows(), c = x.last();
  withType(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* y = static_cast<T*>(call.out[0].data);
    launch(context, normaliseRows<T>, ceilDiv(rows, kWarps), kThreads, static_cast<const T*>(x.data), channelValues(w), channelValues(b), y,
           call.out[1].f32(), call.out[2].f32(), rows, c, float(call.attr[0]), packed<T>(c, x.data, y, w, b));
  });
}

void layerNormVjp(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &w = call.in[1];
  const int64_t rows = x.rows(), c = x.last();
  const float *mean = call.in[2].f32(), *rstd = call.in[3].f32();
  float *dw = call.out[1].f32(), *db = call.out[2].f32(), *partial = static_cast<float*>(call.scratch);
  withType(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T *from = static_cast<const T*>(x.data), *dy = static_cast<const T*>(call.in[4].data), *through = static_cast<const T*>(call.in[5].data);
    T* dx = static_cast<T*>(call.out[0].data);
    const bool whole = packed<T>(c, x.data, dy, w, w) && onPack(dx) && onPack(through);
    if (dw || db) {  // before dx covers x or dy
      const int64_t step = std::min<int64_t>(256, std::max<int64_t>(8, 16384 / c));  // as lib/ops/layerNorm.ts counts the scratch memory
      const int64_t blocks = ceilDiv(rows, step), units = whole ? c / Pack<T>::size : c;
      launch(context, channelSums<T>, Grid(ceilDiv(units, 32), blocks), kThreads, from, mean, rstd, dy, partial, rows, c, step, whole);
      if (dw) launchSumPartials(context, partial, blocks, 2 * c, c, dw);
      if (db) launchSumPartials(context, partial + c, blocks, 2 * c, c, db);
    }
    if (dx) launch(context, gradientRows<T>, ceilDiv(rows, kWarps), kThreads, from, channelValues(w), mean, rstd, dy, through, dx, rows, c, whole);
  });
}

}  // namespace tlora::cuda
