// y = act(z), z = xhat w + b, xhat = (x - mean) rstd over the positions and channels of a group; act SiLU or nothing.
// x [n, positions, c], float32. Chunks of positions (chunkRows) are the tasks of both passes over x. In the first, a
// chunk gives its own mean and squared deviations from it per group, while it lies in cache; these are combined in
// float64 (Chan et al. 1979), so nothing cancels however far the mean is from 0. y may lie over x.
//
// Gradient: dz = dy act'(z), z computed again from x; dw = sum dz xhat, db = sum dz, and with A = mean over the group of dz w
// and B that of dz w xhat: dx = rstd (dz w - A - xhat B), added to `through` where that is given. With SiLU the first pass leaves dz in
// dx, so that the second needs no exponentials; where dx lies over x, which both passes read, it computes them again. dx may lie over x
// or dy, not over through.
#include <cmath>

#include "cpu/blocks.h"
#include "cpu/sums.h"

namespace tlora::cpu {

namespace {

struct Groups {
  int64_t n, positions, c, groups, width, step, chunks;  // width: channels of a group; step: positions of a chunk

  Groups(const Tensor& x, double groupCount)
      : n(x.dims[0]), c(x.last()), groups(static_cast<int64_t>(groupCount)) {
    positions = x.size() / (n * c);
    width = c / groups;
    step = chunkRows(c);
    chunks = blocksOf(positions, step);
  }
  int64_t rowsOf(int64_t chunk) const { return std::min(step, positions - chunk * step); }
  int64_t places() const { return n * groups; }
  // Two float64 a chunk and group in scratch: [n, chunks, groups, 2]; behind them [n, groups, 2] of results.
  double* partials(const Call& call, int64_t task) const {
    return static_cast<double*>(call.scratch) + task * groups * 2;
  }
  double* results(const Call& call) const { return partials(call, n * chunks); }

  // body(sample, chunk, first element of the chunk, thread) on the pool.
  template <class Body>
  void eachChunk(Context& context, Body body) const {
    context.pool.run(n * chunks, [&](int64_t task, int thread) {
      const int64_t sample = task / chunks, chunk = task % chunks;
      body(sample, chunk, (sample * positions + chunk * step) * c, thread);
    });
  }
};

// What a chunk needs per channel, in the thread's workspace: arrays of c floats.
struct Channels {
  float *mean, *rstd, *first, *second;
  Channels(Context& context, int thread, int64_t c)
      : mean(static_cast<float*>(context.workspace(thread))), rstd(mean + c), first(rstd + c), second(first + c) {}
};

void spread(const Groups& g, const float* perGroup, float* perChannel) {
  for (int64_t k = 0; k < g.groups; k++) std::fill_n(perChannel + k * g.width, g.width, perGroup[k]);
}

struct ChannelSums {
  template <int W> TLORA_INLINE static void run(const float* x, float* sums, int64_t rows, int64_t c) {
    sumRows<W>(rows, c, sums, [&](int64_t r, int64_t i, auto part)
                                  TLORA_INLINE_LAMBDA { return load<W>(x + r * c + i, part); });
  }
};

struct ChannelSquares {
  template <int W>
  TLORA_INLINE static void run(const float* x, const float* mean, float* sums, int64_t rows, int64_t c) {
    sumRows<W>(rows, c, sums, [&](int64_t r, int64_t i, auto part) TLORA_INLINE_LAMBDA {
      Vec<W> d = load<W>(x + r * c + i, part) - load<W>(mean + i, part);
      return d * d;
    });
  }
};

double sumOf(const float* v, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += v[i];
  return sum;
}

void chunkMoments(const Groups& g, const float* x, int64_t rows, Channels at, double* moments) {
  simd<ChannelSums>(x, at.first, rows, g.c);
  for (int64_t k = 0; k < g.groups; k++) {
    const double mean = sumOf(at.first + k * g.width, g.width) / static_cast<double>(rows * g.width);
    moments[2 * k] = mean;
    std::fill_n(at.mean + k * g.width, g.width, static_cast<float>(mean));
  }
  simd<ChannelSquares>(x, static_cast<const float*>(at.mean), at.second, rows, g.c);
  for (int64_t k = 0; k < g.groups; k++) moments[2 * k + 1] = sumOf(at.second + k * g.width, g.width);
}

// Mean and 1 / sqrt(variance + eps) of one group of one sample from those of its chunks.
void combineMoments(const Groups& g, const double* chunk, double eps, float* mean, float* rstd) {
  const double count = static_cast<double>(g.positions * g.width);
  double sum = 0, squares = 0;
  for (int64_t k = 0; k < g.chunks; k++) sum += chunk[k * g.groups * 2] * static_cast<double>(g.rowsOf(k) * g.width);
  const double whole = sum / count;
  for (int64_t k = 0; k < g.chunks; k++) {
    const double away = chunk[k * g.groups * 2] - whole;
    squares += chunk[k * g.groups * 2 + 1] + away * away * static_cast<double>(g.rowsOf(k) * g.width);
  }
  *mean = static_cast<float>(whole);
  *rstd = static_cast<float>(1.0 / std::sqrt(squares / count + eps));
}

template <bool Silu>
struct Normalise {
  template <int W>
  TLORA_INLINE static void run(const float* x, float* y, const float* mean, const float* scale, const float* b,
                               int64_t rows, int64_t c) {
    for (int64_t r = 0; r < rows; r++, x += c, y += c)
      eachVec<W>(c, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA {
        Vec<W> z = (load<W>(x + i, part) - load<W>(mean + i, part)) * load<W>(scale + i, part) + load<W>(b + i, part);
        if constexpr (Silu) z = z * sigmoid(z);
        store(y + i, z, part);
      });
  }
};

// Everything the gradient's loops read: rows of x and dy, and per channel mean, rstd, w, b.
struct Backward {
  const float *x, *dy, *mean, *rstd, *w, *b;
  int64_t rows, c;

  template <bool Silu, int W, class Part>
  TLORA_INLINE void at(int64_t r, int64_t i, Part part, Vec<W>& dz, Vec<W>& xhat) const {
    xhat = (load<W>(x + r * c + i, part) - load<W>(mean + i, part)) * load<W>(rstd + i, part);
    dz = load<W>(dy + r * c + i, part);
    if constexpr (Silu) {
      Vec<W> z = xhat * load<W>(w + i, part) + load<W>(b + i, part);
      Vec<W> s = sigmoid(z);
      dz = dz * (s * (1.0f + z * (1.0f - s)));
    }
  }
};

// sums[i] = sum of dz over the chunk's rows, products[i] = that of dz xhat, in groups of four rows; dz is kept if there is
// room for it.
template <bool Silu, bool Keep>
struct GradientSums {
  template <int W> TLORA_INLINE static void run(const Backward* from, float* sums, float* products, float* kept) {
    const Backward in = *from;
    std::fill_n(sums, in.c, 0.0f);
    std::fill_n(products, in.c, 0.0f);
    for (int64_t r = 0; r < in.rows; r += 4) {
      const int64_t end = std::min(r + 4, in.rows);
      eachVec<W>(in.c, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA {
        Vec<W> sum{}, product{}, dz, xhat;
        for (int64_t k = r; k < end; k++) {
          in.at<Silu, W>(k, i, part, dz, xhat);
          sum += dz;
          product += dz * xhat;
          if constexpr (Keep) store(kept + k * in.c + i, dz, part);
        }
        store(sums + i, load<W>(sums + i, part) + sum, part);
        store(products + i, load<W>(products + i, part) + product, part);
      });
    }
  }
};

// dx = rstd (dz w - A - xhat B), A and B per channel, and `through`.
template <bool Silu>
struct GradientRows {
  template <int W> TLORA_INLINE static void run(const Backward* from, const float* a, const float* b, const float* through, float* dx) {
    const Backward in = *from;
    for (int64_t r = 0; r < in.rows; r++, dx += in.c) {
      auto own = [&](int64_t i, auto part) TLORA_INLINE_LAMBDA {
        Vec<W> dz, xhat;
        in.at<Silu, W>(r, i, part, dz, xhat);
        Vec<W> d = dz * load<W>(in.w + i, part) - load<W>(a + i, part) - xhat * load<W>(b + i, part);
        return load<W>(in.rstd + i, part) * d;
      };
      if (through) {
        eachVec<W>(in.c, [&](int64_t i, auto part)
                             TLORA_INLINE_LAMBDA { store(dx + i, load<W>(through + i, part) + own(i, part), part); });
        through += in.c;
      } else {
        eachVec<W>(in.c, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA { store(dx + i, own(i, part), part); });
      }
    }
  }
};

struct Gradient {
  const Call& call;
  const Groups g;
  explicit Gradient(const Call& c) : call(c), g(c.in[0], c.attr[0]) {}

  // Channel sums of every chunk, behind the float64 part of scratch: [n * chunks, 2, c].
  float* channelSums() const { return reinterpret_cast<float*>(g.results(call) + g.places() * 2); }

  Backward chunk(int64_t sample, int64_t k, int64_t first, Channels at) const {
    spread(g, call.in[3].f32() + sample * g.groups, at.mean);
    spread(g, call.in[4].f32() + sample * g.groups, at.rstd);
    return {call.in[0].f32() + first, call.in[5].f32() + first, at.mean, at.rstd, call.in[1].f32(), call.in[2].f32(),
            g.rowsOf(k), g.c};
  }

  template <bool Silu>
  void sums(Context& context, bool keepChannels, float* kept) const {
    const float* w = call.in[1].f32();
    g.eachChunk(context, [&](int64_t sample, int64_t k, int64_t first, int thread) {
      Channels at(context, thread, g.c);
      const int64_t task = sample * g.chunks + k;
      float* sum = keepChannels ? channelSums() + task * 2 * g.c : at.first;
      float* product = sum + g.c;
      const Backward in = chunk(sample, k, first, at);
      if (kept) simd<GradientSums<Silu, true>>(&in, sum, product, kept + first);
      else simd<GradientSums<Silu, false>>(&in, sum, product, kept);
      double* partial = g.partials(call, task);
      for (int64_t i = 0; i < g.c; i++) {
        double* ab = partial + i / g.width * 2;
        if (i % g.width == 0) ab[0] = ab[1] = 0;
        ab[0] += static_cast<double>(w[i]) * sum[i];
        ab[1] += static_cast<double>(w[i]) * product[i];
      }
    });
  }

  void combine(Context& context) const {
    context.pool.run(g.places(), [&](int64_t place, int) {
      const double* from = g.partials(call, place / g.groups * g.chunks) + place % g.groups * 2;
      double a = 0, b = 0;
      for (int64_t k = 0; k < g.chunks; k++, from += g.groups * 2) a += from[0], b += from[1];
      const double count = static_cast<double>(g.positions * g.width);
      g.results(call)[place * 2] = a / count;
      g.results(call)[place * 2 + 1] = b / count;
    });
  }

  // With `kept`, dz lies in dx.
  template <bool Silu>
  void rows(Context& context, const float* kept) const {
    g.eachChunk(context, [&](int64_t sample, int64_t k, int64_t first, int thread) {
      Channels at(context, thread, g.c);
      Backward in = chunk(sample, k, first, at);
      if (kept) in.dy = kept + first;
      const double* ab = g.results(call) + sample * g.groups * 2;
      for (int64_t i = 0; i < g.c; i++) {
        at.first[i] = static_cast<float>(ab[i / g.width * 2]);
        at.second[i] = static_cast<float>(ab[i / g.width * 2 + 1]);
      }
      const float* through = call.in[6].f32();
      simd<GradientRows<Silu>>(&in, static_cast<const float*>(at.first), static_cast<const float*>(at.second),
                               through ? through + first : nullptr, call.out[0].f32() + first);
    });
  }
};

}  // namespace

void groupNorm(const Call& call, Context& context) {
  const Groups g(call.in[0], call.attr[0]);
  const float *x = call.in[0].f32(), *w = call.in[1].f32(), *b = call.in[2].f32();
  float* y = call.out[0].f32();
  float* spare = reinterpret_cast<float*>(g.results(call));
  float* mean = call.out[1].present() ? call.out[1].f32() : spare;
  float* rstd = call.out[2].present() ? call.out[2].f32() : spare + g.places();
  g.eachChunk(context, [&](int64_t sample, int64_t k, int64_t first, int thread) {
    chunkMoments(g, x + first, g.rowsOf(k), Channels(context, thread, g.c), g.partials(call, sample * g.chunks + k));
  });
  context.pool.run(g.places(), [&](int64_t place, int) {
    const double* chunk = g.partials(call, place / g.groups * g.chunks) + place % g.groups * 2;
    combineMoments(g, chunk, call.attr[1], mean + place, rstd + place);
  });
  g.eachChunk(context, [&](int64_t sample, int64_t k, int64_t first, int thread) {
    Channels at(context, thread, g.c);
    spread(g, mean + sample * g.groups, at.mean);
    spread(g, rstd + sample * g.groups, at.rstd);
    for (int64_t i = 0; i < g.c; i++) at.first[i] = at.rstd[i] * w[i];
    const float *m = at.mean, *scale = at.first;
    if (call.attr[2] != 0) simd<Normalise<true>>(x + first, y + first, m, scale, b, g.rowsOf(k), g.c);
    else simd<Normalise<false>>(x + first, y + first, m, scale, b, g.rowsOf(k), g.c);
  });
}

void groupNormVjp(const Call& call, Context& context) {
  const Gradient gradient(call);
  const bool silu = call.attr[2] != 0, channels = call.out[1].present() || call.out[2].present();
  float* const dx = call.out[0].f32();
  float* const kept = silu && dx != call.in[0].f32() ? dx : nullptr;
  silu ? gradient.sums<true>(context, channels, kept) : gradient.sums<false>(context, channels, nullptr);
  if (call.out[0].present()) {
    gradient.combine(context);
    silu && !kept ? gradient.rows<true>(context, nullptr) : gradient.rows<false>(context, kept);
  }
  if (channels) {
    const float* sums = gradient.channelSums();
    const int64_t c = gradient.g.c, chunks = gradient.g.n * gradient.g.chunks;
    if (call.out[1].present()) sumPartials(context, sums + c, 1, chunks, 2 * c, c, call.out[1].f32());
    if (call.out[2].present()) sumPartials(context, sums, 1, chunks, 2 * c, c, call.out[2].f32());
  }
}

}  // namespace tlora::cpu
