// y = act(z), z = xhat w + b, xhat = (x - mean) rstd over the positions and channels of a group; act SiLU or nothing.
// x [n, positions, c], channels last; mean and rstd [n, groups] float32. y may lie over x.
// Gradient: dz = dy act'(z), computed again from x; dw = sum dz xhat, db = sum dz, and with A = mean over the group of dz w and B
// that of dz w xhat: dx = rstd (dz w - A - xhat B), added to `through` where that is given. dx may lie over x or dy.
//
// A block has a slab of channels and a chunk of positions (slabs.h). Where a slab of all positions is small it is one block and one
// launch, and the second reading comes from cache; else the first launch leaves each chunk's sums and every block of the second one
// combines those of its groups, in their order. No atomics.
// Statistics: a thread has the mean and squared deviations of what it read, about its own first value, and these are combined
// pairwise (Chan et al. 1979), so nothing cancels however far the mean is from 0. float32 throughout.
// Traffic: forward x read (twice, the second time from L2 where it fits), y written; backward x and dy the same way, through read, dx written.
#include <cuda_runtime.h>

#include "cuda/channels.h"
#include "cuda/context.h"
#include "cuda/launch.h"
#include "cuda/moments.h"
#include "cuda/reduce.h"
#include "cuda/shared.h"
#include "cuda/slabs.h"
#include "cuda/types.h"

namespace tlora::cuda {

namespace {

using namespace slabs;

enum Phase { kSums = 1, kApply = 2 };

// Mean and squared deviations of what this thread reads of channel k of its unit.
template <class T>
struct ThreadMoments {
  static constexpr int V = Pack<T>::size;
  float origin[V], sum[V], squares[V];
  __device__ ThreadMoments(const Part& part, const T* x) {
    for (int k = 0; k < V; k++) origin[k] = sum[k] = squares[k] = 0;
    bool first = true;
    for (int step = 0; step < part.steps; step++) {
      if (!part.has(step)) continue;
      for (int64_t p = part.begin + part.lane; p < part.end; p += part.cut.lanes) {
        const Pack<T> pack = loadUnit(x + part.at(p, part.channel(step)), part.cut.packed);
        for (int k = 0; k < V; k++) {
          const float value = toFloat(pack[k]);
          if (first) origin[k] = value;
          sum[k] += value - origin[k];
          squares[k] += (value - origin[k]) * (value - origin[k]);
        }
        first = false;
      }
    }
  }
};

// The moments of each group of the block's part, as body(group, lane of the warp, moments). `room`: 2 * threads * width floats.
template <class T, class Body>
__device__ inline void partMoments(const Part& part, const T* x, SharedArray<float> room, Body body) {
  const Cut& cut = part.cut;
  const int spread = cut.spread(), size = cut.lanes * spread;
  const ThreadMoments<T> mine(part, x);
  if (part.lane < cut.lanes) {
    const float count = float(part.countOf(part.lane, part.unit));
    for (int k = 0; k < ThreadMoments<T>::V; k++) {
      if (k >= cut.width) break;
      const int at = part.lane * spread + part.unit * cut.width + k;
      const float away = count > 0 ? mine.sum[k] / count : 0.0f;
      room[at] = mine.origin[k] + away;
      room[size + at] = mine.squares[k] - mine.sum[k] * away;
    }
  }
  __syncthreads();
  eachGroup(part, [&](int group, int lane) {
    const int width = cut.groupSpread();
    Moments m{0, 0, 0};
    for (int i = lane; i < cut.lanes * width; i += 32) {
      const int from = i / width, place = group * width + i % width, at = from * spread + place;
      m = merge(m, {float(part.countOf(from, place / cut.width)), room[at], fmaxf(room[size + at], 0)});
    }
    body(group, lane, mergeWarp(m));
  });
}

__device__ inline float sigmoid(float z) { return 1 / (1 + expf(-z)); }

template <class T>
__global__ void __launch_bounds__(kMaxThreads, 1)
normalise(const T* x, ChannelValues w, ChannelValues b, T* y, float* mean, float* rstd, float* partial, Cut cut, float eps, bool silu,
          int phases) {
  waitForPrevious();
  constexpr int V = Pack<T>::size;
  TLORA_SHARED_DYNAMIC(float, room);
  TLORA_SHARED(float, means, kMaxSlabGroups);
  TLORA_SHARED(float, rstds, kMaxSlabGroups);
  const Part part(cut);
  const auto settle = [&](int group, int lane, Moments m) {
    if (lane != 0) return;
    const float s = 1 / sqrtf(m.squares / m.count + eps);
    means[group] = m.mean;
    rstds[group] = s;
    if (mean && part.chunk == 0) mean[part.place(group)] = m.mean;
    if (rstd && part.chunk == 0) rstd[part.place(group)] = s;
  };
  if (phases == kSums) {
    partMoments(part, x, room, [&](int group, int lane, Moments m) {
      if (lane != 0) return;
      partial[part.partial(group, part.chunk)] = m.mean;
      partial[part.partial(group, part.chunk) + 1] = m.squares;
    });
    return;
  }
  if (phases & kSums) {
    partMoments(part, x, room, settle);
  } else {
    eachGroup(part, [&](int group, int lane) {
      Moments m{0, 0, 0};
      for (int64_t chunk = lane; chunk < cut.chunks; chunk += 32) {
        const int64_t at = part.partial(group, chunk), left = cut.positions - chunk * cut.rows;
        m = merge(m, {float((left < cut.rows ? left : cut.rows) * cut.groupWidth), partial[at], partial[at + 1]});
      }
      settle(group, lane, mergeWarp(m));
    });
  }
  __syncthreads();
  for (int step = 0; step < part.steps; step++) {
    if (!part.has(step)) continue;
    const int64_t channel = part.channel(step);
    float m[V], scale[V], shift[V];
    loadChannels(w, channel, cut.packed, 1, scale);
    loadChannels(b, channel, cut.packed, 0, shift);
    for (int k = 0; k < V; k++) {
      const int group = k < cut.width ? part.groupOf(step, k) : 0;
      m[k] = means[group];
      scale[k] *= rstds[group];
    }
    for (int64_t p = part.begin + part.lane; p < part.end; p += cut.lanes) {
      const Pack<T> pack = loadUnit(x + part.at(p, channel), cut.packed);
      float z[V];
      for (int k = 0; k < V; k++) {
        z[k] = (toFloat(pack[k]) - m[k]) * scale[k] + shift[k];
        if (silu) z[k] *= sigmoid(z[k]);
      }
      storeUnit(y + part.at(p, channel), z, cut.packed);
    }
  }
}

// What the gradient needs of one unit's channels, and dz and xhat at a position.
template <class T>
struct UnitGradient {
  static constexpr int V = Pack<T>::size;
  float mean[V], rstd[V], w[V], b[V], dz[V], xhat[V];
  bool packed, silu;
  __device__ UnitGradient(const Part& part, int step, ChannelValues weight, ChannelValues bias, const float* means, const float* rstds,
                          bool silu)
      : packed(part.cut.packed), silu(silu) {
    loadChannels(weight, part.channel(step), packed, 1, w);
    loadChannels(bias, part.channel(step), packed, 0, b);
    for (int k = 0; k < V; k++) {
      const int64_t place = part.place(k < part.cut.width ? part.groupOf(step, k) : 0);
      mean[k] = means[place];
      rstd[k] = rstds[place];
    }
  }
  __device__ void load(const T* x, const T* dy) {
    const Pack<T> xs = loadUnit(x, packed), dys = loadUnit(dy, packed);
    for (int k = 0; k < V; k++) {
      xhat[k] = (toFloat(xs[k]) - mean[k]) * rstd[k];
      dz[k] = toFloat(dys[k]);
      if (!silu) continue;
      const float z = xhat[k] * w[k] + b[k], s = sigmoid(z);
      dz[k] *= s * (1 + z * (1 - s));
    }
  }
};

struct GradientInputs {
  const void *x, *dy, *through;
  ChannelValues w, b;
  const float *mean, *rstd;
  bool silu;
};

// totals [2, kMaxSlabGroups] += sums over the groups of dz w and of dz w xhat for one step; channelSums [n * chunks, 2, c] of dz xhat
// and dz, if wanted. `room`: 2 * threads * width floats.
template <class T>
__device__ inline void stepSums(const Part& part, int step, const GradientInputs& in, SharedArray<float> room, SharedArray<float> totals,
                                float* channelSums) {
  constexpr int V = Pack<T>::size;
  const Cut& cut = part.cut;
  const int spread = cut.spread(), size = cut.lanes * spread;
  if (part.lane < cut.lanes) {
    float sum[V] = {}, product[V] = {};
    if (part.has(step)) {
      UnitGradient<T> unit(part, step, in.w, in.b, in.mean, in.rstd, in.silu);
      for (int64_t p = part.begin + part.lane; p < part.end; p += cut.lanes) {
        const int64_t at = part.at(p, part.channel(step));
        unit.load(static_cast<const T*>(in.x) + at, static_cast<const T*>(in.dy) + at);
        for (int k = 0; k < V; k++) {
          sum[k] += unit.dz[k];
          product[k] += unit.dz[k] * unit.xhat[k];
        }
      }
    }
    for (int k = 0; k < V; k++) {
      if (k >= cut.width) break;
      const int at = part.lane * spread + part.unit * cut.width + k;
      room[at] = sum[k];
      room[size + at] = product[k];
    }
  }
  __syncthreads();
  for (int i = int(threadIdx.x) / 32; i < spread; i += int(blockDim.x) / 32) {  // a warp for each channel
    float sum = 0, product = 0;
    for (int lane = int(threadIdx.x) % 32; lane < cut.lanes; lane += 32) {
      sum += room[lane * spread + i];
      product += room[size + lane * spread + i];
    }
    sum = warpSum(sum), product = warpSum(product);
    if (threadIdx.x % 32 != 0) continue;
    const int64_t inSlab = int64_t(step) * spread + i, channel = part.firstGroup * cut.groupWidth + inSlab;
    float w[1] = {0};
    if (inSlab < part.slabGroups * cut.groupWidth) {
      loadChannels(in.w, channel, false, 1, w);
      if (channelSums) {
        float* to = channelSums + (part.sample * cut.chunks + part.chunk) * 2 * cut.c + channel;
        to[0] = product;
        to[cut.c] = sum;
      }
    }
    room[i] = w[0] * sum;
    room[size + i] = w[0] * product;
  }
  __syncthreads();
  eachGroup(part, [&](int group, int lane) {
    const int width = cut.groupSpread();
    float sum = 0, product = 0;
    for (int i = lane; i < width; i += 32) {
      sum += room[group * width + i];
      product += room[size + group * width + i];
    }
    sum = warpSum(sum), product = warpSum(product);
    if (lane != 0) return;
    totals[group] = step == 0 ? sum : totals[group] + sum;
    totals[kMaxSlabGroups + group] = step == 0 ? product : totals[kMaxSlabGroups + group] + product;
  });
  __syncthreads();
}

template <class T>
__global__ void __launch_bounds__(kMaxThreads, 1)
gradient(GradientInputs in, T* dx, float* partial, float* channelSums, Cut cut, int phases) {
  waitForPrevious();
  constexpr int V = Pack<T>::size;
  TLORA_SHARED_DYNAMIC(float, room);
  TLORA_SHARED(float, totals, 2 * kMaxSlabGroups);
  const Part part(cut);
  if (phases & kSums) {
    for (int step = 0; step < part.steps; step++) stepSums<T>(part, step, in, room, totals, channelSums);
    if (phases == kSums && int(threadIdx.x) < part.slabGroups) {
      const int group = int(threadIdx.x);
      partial[part.partial(group, part.chunk)] = totals[group];
      partial[part.partial(group, part.chunk) + 1] = totals[kMaxSlabGroups + group];
    }
  } else {
    eachGroup(part, [&](int group, int lane) {
      float sum = 0, product = 0;
      for (int64_t chunk = lane; chunk < cut.chunks; chunk += 32) {
        sum += partial[part.partial(group, chunk)];
        product += partial[part.partial(group, chunk) + 1];
      }
      sum = warpSum(sum), product = warpSum(product);
      if (lane == 0) totals[group] = sum, totals[kMaxSlabGroups + group] = product;
    });
    __syncthreads();
  }
  if (!(phases & kApply)) return;
  const float share = 1 / (float(cut.positions) * float(cut.groupWidth));
  for (int step = 0; step < part.steps; step++) {
    if (!part.has(step)) continue;
    UnitGradient<T> unit(part, step, in.w, in.b, in.mean, in.rstd, in.silu);
    float a[V], b[V];
    for (int k = 0; k < V; k++) {
      const int group = k < cut.width ? part.groupOf(step, k) : 0;
      a[k] = totals[group] * share;
      b[k] = totals[kMaxSlabGroups + group] * share;
    }
    for (int64_t p = part.begin + part.lane; p < part.end; p += cut.lanes) {
      const int64_t at = part.at(p, part.channel(step));
      unit.load(static_cast<const T*>(in.x) + at, static_cast<const T*>(in.dy) + at);
      float d[V];
      for (int k = 0; k < V; k++) d[k] = __fmul_rn(unit.rstd[k], unit.dz[k] * unit.w[k] - a[k] - unit.xhat[k] * b[k]);
      if (in.through) {  // two roundings, as those of a sum of its own
        const Pack<T> other = loadUnit(static_cast<const T*>(in.through) + at, cut.packed);
        for (int k = 0; k < V; k++) d[k] += toFloat(other[k]);
      }
      storeUnit(dx + at, d, cut.packed);
    }
  }
}

// The launches of a kernel: one for a slab in one chunk, else the sums and then the rest.
template <class Launch>
void eachPhase(const Cut& cut, bool apply, Launch launchPhase) {
  const Grid grid(cut.slabs, cut.chunks, cut.n);
  const size_t bytes = sizeof(float) * 2 * cut.threads * cut.width;
  if (cut.chunks == 1) return launchPhase(grid, bytes, apply ? kSums | kApply : kSums);
  launchPhase(grid, bytes, int(kSums));
  if (apply) launchPhase(grid, bytes, int(kApply));
}

}  // namespace

void groupNorm(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &w = call.in[1], &b = call.in[2];
  float* partial = static_cast<float*>(call.scratch);
  withType(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* y = static_cast<T*>(call.out[0].data);
    const Cut cut = cutOf(x, call.attr[0], Pack<T>::size, packed<T>(x.last(), x.data, y, w, b));
    eachPhase(cut, true, [&](Grid grid, size_t bytes, int phases) {
      launchShared(context, normalise<T>, grid, cut.threads, bytes, static_cast<const T*>(x.data), channelValues(w), channelValues(b), y,
                   call.out[1].f32(), call.out[2].f32(), partial, cut, float(call.attr[1]), call.attr[2] != 0, phases);
    });
  });
}

void groupNormVjp(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &w = call.in[1], &b = call.in[2], &dy = call.in[5];
  const void* through = call.in[6].data;
  float *dw = call.out[1].f32(), *db = call.out[2].f32(), *partial = static_cast<float*>(call.scratch);
  const GradientInputs in{x.data, dy.data, through, channelValues(w), channelValues(b), call.in[3].f32(), call.in[4].f32(), call.attr[2] != 0};
  withType(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* dx = static_cast<T*>(call.out[0].data);
    const Cut cut = cutOf(x, call.attr[0], Pack<T>::size, packed<T>(x.last(), x.data, dy.data, w, b) && onPack(dx) && onPack(through));
    float* channelSums = dw || db ? partial + 2 * cut.n * cut.groups * cut.chunks : nullptr;
    eachPhase(cut, dx != nullptr, [&](Grid grid, size_t bytes, int phases) {
      launchShared(context, gradient<T>, grid, cut.threads, bytes, in, dx, partial, channelSums, cut, phases);
    });
    if (dw) launchSumPartials(context, channelSums, cut.n * cut.chunks, 2 * cut.c, cut.c, dw);
    if (db) launchSumPartials(context, channelSums + cut.c, cut.n * cut.chunks, 2 * cut.c, cut.c, db);
  });
}

}  // namespace tlora::cuda
