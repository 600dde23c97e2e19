// Chosen singular triples of a frozen weight w [out, in], by one-sided Jacobi rotations in float64 (Hestenes 1958; Demmel and Veselić,
// "Jacobi's method is more accurate than QR", 1992): the columns of A, w or wᵀ, whichever is tall, are rotated in pairs until all are
// orthogonal, A V = U diag(sigma). A round does n / 2 disjoint pairs, one block each; n - 1 rounds are a sweep. Launches past the end
// return at once, so the host never waits; runs once in a run, and is not meant to be recorded: about kSweeps n launches.
// Weights that are not finite give NaN alone.
#include "cuda/context.h"
#include "cuda/launch.h"
#include "cuda/reduce.h"
#include "cuda/types.h"

namespace tlora::cuda {
namespace {

constexpr int kThreads = 128, kSweeps = 24;
constexpr double kOrthogonal = 1e-13;  // of two columns: |a·b| / (|a| |b|)

// Scratch memory, known to lib/ops/svdComponents.ts: a [n, m] and v [n, n] hold columns.
struct Work {
  int64_t m, n, out, in, rank, first;
  bool tall;
  double *a, *v, *sigma;
  int64_t* order;  // place by descending sigma -> column
  int32_t *moved;  // by pair: something was rotated in this sweep
  int32_t* done;   // all columns are orthogonal

  Work(const Call& call) {
    const Tensor& w = call.in[0];
    out = w.dims[0], in = w.dims[1], tall = out >= in;
    m = std::max(out, in), n = std::min(out, in);
    rank = call.out[1].size(), first = int64_t(call.attr[0]);
    a = static_cast<double*>(call.scratch);
    v = a + m * n, sigma = v + n * n;
    order = reinterpret_cast<int64_t*>(sigma + n);
    moved = reinterpret_cast<int32_t*>(order + n);
    done = moved + pairs();
  }
  __host__ __device__ int64_t pairs() const { return (n + 1) / 2; }
};

template <class T>
__global__ void load(Work work, const T* w) {
  waitForPrevious();
  for (int64_t i = threadIdx.x; i < work.m; i += kThreads) {
    const int64_t j = blockIdx.x;
    work.a[j * work.m + i] = double(toFloat(work.tall ? w[i * work.in + j] : w[j * work.in + i]));
    if (i < work.n) work.v[j * work.n + i] = i == j;
  }
  if (blockIdx.x == 0 && threadIdx.x == 0) work.done[0] = 0;
  if (threadIdx.x == 0 && blockIdx.x < work.pairs()) work.moved[blockIdx.x] = 0;
}

__device__ void turn(double* p, double* q, int64_t length, double c, double s) {
  for (int64_t i = threadIdx.x; i < length; i += kThreads) {
    const double x = p[i], y = q[i];
    p[i] = c * x - s * y;
    q[i] = s * x + c * y;
  }
}

// Player 0 stays, the others go around: every two meet once in `players` - 1 rounds. One player has nobody where n is odd.
__global__ void __launch_bounds__(kThreads) rotate(Work work, int64_t round) {
  waitForPrevious();
  if (work.done[0]) return;
  const int64_t players = 2 * work.pairs(), others = players - 1, k = blockIdx.x;
  const int64_t p = k == 0 ? players - 1 : (round + k) % others, q = (round + others - k) % others;
  if (p >= work.n || q >= work.n) return;
  double *x = work.a + p * work.m, *y = work.a + q * work.m;
  double xx = 0, yy = 0, xy = 0;
  for (int64_t i = threadIdx.x; i < work.m; i += kThreads) xx += x[i] * x[i], yy += y[i] * y[i], xy += x[i] * y[i];
  xx = blockSum(xx), yy = blockSum(yy), xy = blockSum(xy);
  if (fabs(xy) <= kOrthogonal * sqrt(xx) * sqrt(yy)) return;
  const double zeta = (yy - xx) / (2 * xy), t = (zeta < 0 ? -1 : 1) / (fabs(zeta) + sqrt(1 + zeta * zeta));
  const double c = 1 / sqrt(1 + t * t), s = c * t;
  turn(x, y, work.m, c, s);
  turn(work.v + p * work.n, work.v + q * work.n, work.n, c, s);
  if (threadIdx.x == 0) work.moved[k] = 1;
}

__global__ void __launch_bounds__(kThreads) settle(Work work) {
  waitForPrevious();
  if (work.done[0]) return;
  double any = 0;
  for (int64_t k = threadIdx.x; k < work.pairs(); k += kThreads) {
    if (work.moved[k]) any = 1;
    work.moved[k] = 0;
  }
  any = blockMax(any);
  if (threadIdx.x == 0) work.done[0] = any == 0;
}

__global__ void __launch_bounds__(kThreads) normalize(Work work) {
  waitForPrevious();
  double* x = work.a + blockIdx.x * work.m;
  double squares = 0;
  for (int64_t i = threadIdx.x; i < work.m; i += kThreads) squares += x[i] * x[i];
  const double length = sqrt(blockSum(squares));
  for (int64_t i = threadIdx.x; i < work.m && length != 0; i += kThreads) x[i] /= length;
  if (threadIdx.x == 0) work.sigma[blockIdx.x] = length;
}

// What is no number goes first, so that `order` has every column once.
__device__ double rankOf(double sigma) { return sigma == sigma ? sigma : HUGE_VAL; }

__global__ void sort(Work work) {
  waitForPrevious();
  for (int64_t j = blockIdx.x * int64_t(kThreads) + threadIdx.x; j < work.n; j += int64_t(gridDim.x) * kThreads) {
    const double own = rankOf(work.sigma[j]);
    int64_t before = 0;
    for (int64_t i = 0; i < work.n; i++) {
      const double other = rankOf(work.sigma[i]);
      before += other > own || (other == own && i < j);
    }
    work.order[before] = j;
  }
}

// Left vectors of zero singular values: the unit vector that lies farthest from those there are, made orthogonal to them, twice. One block,
// since each waits for the one before; there are none but for weights of deficient rank.
__global__ void __launch_bounds__(kThreads) complete(Work work) {
  waitForPrevious();
  TLORA_SHARED(double, room, kThreads);
  TLORA_SHARED(int64_t, place, kThreads);
  const int64_t m = work.m, n = work.n;
  for (int64_t j = 0; j < n; j++) {
    if (work.sigma[j] != 0) continue;
    double most = -1;
    int64_t farthest = 0;
    for (int64_t i = threadIdx.x; i < m; i += kThreads) {
      double rest = 1;
      for (int64_t k = 0; k < n; k++) rest -= work.a[k * m + i] * work.a[k * m + i];
      if (rest > most) most = rest, farthest = i;
    }
    room[threadIdx.x] = most;
    place[threadIdx.x] = farthest;
    __syncthreads();
    for (int t = 0; t < kThreads; t++) {
      const double other = room[t];
      if (other > most || (other == most && place[t] < farthest)) most = other, farthest = place[t];
    }
    double* x = work.a + j * m;
    for (int64_t i = threadIdx.x; i < m; i += kThreads) x[i] = i == farthest;
    __syncthreads();
    for (int again = 0; again < 2; again++) {
      for (int64_t k = 0; k < n; k++) {
        if (k == j || (work.sigma[k] == 0 && k > j)) continue;
        const double* other = work.a + k * m;
        double dot = 0;
        for (int64_t i = threadIdx.x; i < m; i += kThreads) dot += x[i] * other[i];
        dot = blockSum(dot);
        for (int64_t i = threadIdx.x; i < m; i += kThreads) x[i] -= dot * other[i];
      }
    }
    double squares = 0;
    for (int64_t i = threadIdx.x; i < m; i += kThreads) squares += x[i] * x[i];
    const double length = sqrt(blockSum(squares));
    for (int64_t i = threadIdx.x; i < m; i += kThreads) x[i] /= length;
    __syncthreads();
  }
}

// One block a triple. The entry of largest size in each row of down becomes positive; of equals the first.
__global__ void __launch_bounds__(kThreads) write(Work work, float* up, float* sigma, float* down) {
  waitForPrevious();
  TLORA_SHARED(double, room, kThreads);
  TLORA_SHARED(int64_t, place, kThreads);
  const int64_t j = blockIdx.x, column = work.order[work.first + j];
  const double *left = work.a + column * work.m, *right = work.v + column * work.n;
  const double *u = work.tall ? left : right, *d = work.tall ? right : left;
  double most = -1;
  int64_t at = 0;
  for (int64_t i = threadIdx.x; i < work.in; i += kThreads) {
    if (fabs(float(d[i])) > most) most = fabs(float(d[i])), at = i;
  }
  room[threadIdx.x] = most;
  place[threadIdx.x] = at;
  __syncthreads();
  for (int t = 0; t < kThreads; t++) {
    const double other = room[t];
    if (other > most || (other == most && place[t] < at)) most = other, at = place[t];
  }
  const bool finite = work.sigma[work.order[0]] < HUGE_VAL;
  const double sign = !finite ? double(NAN) : d[at] < 0 ? -1 : 1;
  for (int64_t i = threadIdx.x; i < work.in; i += kThreads) down[j * work.in + i] = float(sign * d[i]);
  for (int64_t i = threadIdx.x; i < work.out; i += kThreads) up[i * work.rank + j] = float(sign * u[i]);
  if (threadIdx.x == 0) sigma[j] = finite ? float(work.sigma[column]) : NAN;
}

}  // namespace

void svdComponents(const Call& call, Context& context) {
  const Tensor& w = call.in[0];
  const Work work(call);
  withType(w.packed ? w.packed->dtype : w.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch(context, load<T>, work.n, kThreads, work, static_cast<const T*>(w.packed ? w.packed->data : w.data));
  });
  for (int sweep = 0; sweep < kSweeps && work.n > 1; sweep++) {
    for (int64_t round = 0; round < 2 * work.pairs() - 1; round++) launch(context, rotate, work.pairs(), kThreads, work, round);
    launch(context, settle, 1, kThreads, work);
  }
  launch(context, normalize, work.n, kThreads, work);
  launch(context, sort, ceilDiv(work.n, kThreads), kThreads, work);
  launch(context, complete, 1, kThreads, work);
  launch(context, write, work.rank, kThreads, work, call.out[0].f32(), call.out[1].f32(), call.out[2].f32());
}

}  // namespace tlora::cuda
