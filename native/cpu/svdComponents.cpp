// Chosen singular triples of a frozen weight w [out, in]: Householder bidiagonalization of w or w^T, whichever is tall; implicit QR
// on the bidiagonal (bidiagonal.h); the kept rotations, backwards, then the reflectors, applied to the chosen unit vectors only.
// Float64. Every sum has a fixed order: row blocks and column blocks do not depend on the number of threads.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "bidiagonal.h"
#include "core/error.h"
#include "core/half.h"
#include "core/kernel.h"
#include "householder.h"

namespace tlora::cpu {
namespace {

constexpr int64_t kRowBlocks = 16;  // at most; partial sums of one step
constexpr int64_t kChunk = 16;      // vectors that one task carries through rotations and reflectors

double weightAt(const Tensor& w, int64_t row, int64_t col) {
  if (w.packed == nullptr) return floatAt(w.data, w.dtype, row * w.last() + col);
  const PackedMatrix& p = *w.packed;
  return floatAt(p.data, p.dtype, ((row / kPanel) * p.cols + col) * kPanel + row % kPanel);
}

// One step's pass over rows [begin, end): row -= v c (left reflector), y = row . u, row -= y u (right reflector, scaled so
// that tau is in `tau`), next += row[k + 1] row (the products that the next left reflector needs). Rows stay in cache between.
struct Step {
  template <int W>
  TLORA_INLINE static void run(double* a, int64_t stride, int64_t begin, int64_t end, int64_t k, const double* c,
                               const double* u, double tau, double* next) {
    const int64_t from = (k + 1) / 8 * 8;
    for (int64_t i = begin; i < end; i += 2) {
      if (i + 2 <= end) pass<W, 2>(a + i * stride, stride, from, k, c, u, tau, next);
      else pass<W, 1>(a + i * stride, stride, from, k, c, u, tau, next);
    }
  }

  template <int W, int R>
  TLORA_INLINE static void pass(double* a, int64_t stride, int64_t from, int64_t k, const double* c, const double* u,
                                double tau, double* next) {
    double v[R], y[R], p[R];
    Lanes<W> dots[R] = {};
    for (int r = 0; r < R; r++) v[r] = a[r * stride + k];
    for (int64_t j = from; j < stride; j += W / 2) {
      const Lanes<W> cj = loadLanes<W>(c + j), uj = loadLanes<W>(u + j);
      for (int r = 0; r < R; r++) {
        const Lanes<W> x = loadLanes<W>(a + r * stride + j) - v[r] * cj;
        storeLanes(a + r * stride + j, x);
        dots[r] += x * uj;
      }
    }
    for (int r = 0; r < R; r++) {
      y[r] = 0;
      for (int lane = 0; lane < W / 2; lane++) y[r] += dots[r][lane];
      y[r] *= tau;
      p[r] = a[r * stride + k + 1] - y[r] * u[k + 1];
    }
    for (int64_t j = from; j < stride; j += W / 2) {
      const Lanes<W> uj = loadLanes<W>(u + j);
      Lanes<W> sum = loadLanes<W>(next + j);
      for (int r = 0; r < R; r++) {
        const Lanes<W> x = loadLanes<W>(a + r * stride + j) - y[r] * uj;
        storeLanes(a + r * stride + j, x);
        sum += p[r] * x;
      }
      storeLanes(next + j, sum);
    }
  }
};

// x [rows, kChunk] -= tau v (v^T x), v = (head, column or row of the reflector), element i of v at tail[i * step].
struct ReflectChunk {
  template <int W>
  TLORA_INLINE static void run(double* x, int64_t begin, int64_t end, double head, double tau, const double* tail,
                               int64_t step) {
    alignas(64) double sums[kChunk] = {}, none[kChunk] = {}, unused[kChunk] = {};
    reflectAll<W>(x, kChunk, begin, end, none, sums, 0, kChunk,
                  [&](double*, int64_t i, double& v, double& p) TLORA_INLINE_LAMBDA {
                    v = 0;
                    p = i == begin ? head : tail[i * step];
                  });
    for (double& s : sums) s *= tau;
    reflectAll<W>(x, kChunk, begin, end, sums, unused, 0, kChunk,
                  [&](double*, int64_t i, double& v, double& p) TLORA_INLINE_LAMBDA {
                    v = i == begin ? head : tail[i * step];
                    p = 0;
                  });
  }
};

// All rotations, last first, transposed, on the rows of x [n, kChunk].
struct Unrotate {
  template <int W>
  TLORA_INLINE static void run(double* x, const BidiagonalSvd* svd, bool left) {
    for (auto sweep = svd->sweeps.rbegin(); sweep != svd->sweeps.rend(); ++sweep) {
      const Rotation* rotations = svd->rotations.data() + sweep->start;
      for (int64_t i = sweep->high - 1; i >= sweep->low; i--) {
        const Rotation& turn = rotations[i - sweep->low];
        const double c = left ? turn.leftC : turn.rightC, s = left ? turn.leftS : turn.rightS;
        double *upper = x + i * kChunk, *lower = upper + kChunk;
        for (int64_t j = 0; j < kChunk; j += W / 2) {
          const Lanes<W> a = loadLanes<W>(upper + j), b = loadLanes<W>(lower + j);
          storeLanes(upper + j, c * a - s * b);
          storeLanes(lower + j, s * a + c * b);
        }
      }
    }
  }
};

class Decomposition {
 public:
  Decomposition(const Call& call, Context& context)
      : call_(call), context_(context), w_(call.in[0]), out_(w_.dims[0]), in_(w_.dims[1]), tall_(out_ >= in_),
        m_(std::max(out_, in_)), n_(std::min(out_, in_)), stride_(paddedColumns(n_)), rank_(call.out[1].size()) {
    double* at = static_cast<double*>(call.scratch);
    a_ = at, at += m_ * stride_;
    partial_ = at, at += kRowBlocks * stride_;
    for (double** row : {&products_, &c_, &u_, &d_, &f_, &leftHead_, &leftTau_, &rightHead_, &rightTau_})
      *row = at, at += stride_;
    vectors_ = at;
  }

  void run() {
    load();
    bidiagonalize();
    if (stopped()) return;
    const BidiagonalSvd svd = bidiagonalSvd(d_, f_, n_);
    chooseComponents(svd);
    const int64_t chunks = (rank_ + kChunk - 1) / kChunk;
    context_.pool.run(2 * chunks, [&](int64_t task, int) { carry(svd, task % 2 == 0, task / 2); });
    if (!stopped()) fixSigns();
  }

 private:
  bool stopped() const { return context_.cancelled.load(std::memory_order_relaxed); }

  void load() {
    context_.pool.run(m_, [&](int64_t i, int) {
      double* row = a_ + i * stride_;
      for (int64_t j = 0; j < n_; j++) row[j] = tall_ ? weightAt(w_, i, j) : weightAt(w_, j, i);
      std::fill(row + n_, row + stride_, 0.0);
    });
    std::fill_n(products_, stride_, 0.0);
    for (int64_t i = 0; i < m_; i++)
      for (int64_t j = 0; j < n_; j++) products_[j] += a_[i * stride_] * a_[i * stride_ + j];
  }

  // products_[j] = x . column j over rows from k on, x = column k. Reflectors stay in a_: left ones below the diagonal,
  // right ones right of the superdiagonal.
  void bidiagonalize() {
    for (int64_t k = 0; k < n_ && !stopped(); k++) {
      double* top = a_ + k * stride_;
      const Reflector left = reflectorOf(top[k], products_[k]);
      if (!std::isfinite(left.beta)) fail(kNonFinite, "the weight holds infinity or not-a-number");
      d_[k] = left.beta, leftHead_[k] = left.head, leftTau_[k] = left.tau;
      if (k + 1 == n_) return;
      std::fill_n(c_, stride_, 0.0);
      std::fill_n(u_, stride_, 0.0);
      for (int64_t j = k + 1; j < n_; j++) {
        c_[j] = left.tau * (products_[j] - left.beta * top[j]);
        top[j] -= left.head * c_[j];
      }
      double squares = 0;
      for (int64_t j = k + 1; j < n_; j++) squares += top[j] * top[j];
      const Reflector right = reflectorOf(top[k + 1], squares);
      f_[k] = right.beta, rightHead_[k] = right.head, rightTau_[k] = right.tau;
      std::copy(top + k + 1, top + n_, u_ + k + 1);
      u_[k + 1] = right.head;
      step(k, right.tau);
    }
  }

  void step(int64_t k, double tau) {
    const int64_t begin = k + 1, each = std::max<int64_t>(16, (m_ - begin + kRowBlocks - 1) / kRowBlocks);
    const int64_t blocks = (m_ - begin + each - 1) / each, from = begin / 8 * 8;
    const auto block = [&](int64_t task, int) {
      double* sums = partial_ + task * stride_;
      std::fill(sums + from, sums + stride_, 0.0);
      const int64_t first = begin + task * each;
      simd<Step>(a_, stride_, first, std::min(m_, first + each), k, static_cast<const double*>(c_),
                 static_cast<const double*>(u_), tau, sums);
    };
    if ((m_ - begin) * (n_ - begin) > 20000) context_.pool.run(blocks, block);
    else for (int64_t b = 0; b < blocks; b++) block(b, 0);
    std::fill_n(products_, stride_, 0.0);
    for (int64_t b = 0; b < blocks; b++)
      for (int64_t j = begin; j < n_; j++) products_[j] += partial_[b * stride_ + j];
  }

  void chooseComponents(const BidiagonalSvd& svd) {
    std::vector<int64_t> order(n_);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return std::fabs(svd.values[a]) > std::fabs(svd.values[b]);
    });
    const auto first = order.begin() + int64_t(call_.attr[0]);
    chosen_.assign(first, first + rank_);
    for (int64_t j = 0; j < rank_; j++) call_.out[1].f32()[j] = float(std::fabs(svd.values[chosen_[j]]));
  }

  // Vectors [chunk * kChunk ...) of one side, from unit vectors to the output.
  void carry(const BidiagonalSvd& svd, bool left, int64_t chunk) {
    const int64_t rows = left ? m_ : n_, first = chunk * kChunk, count = std::min(kChunk, rank_ - first);
    double* x = vectors_ + chunk * kChunk * (m_ + n_) + (left ? 0 : m_ * kChunk);
    std::fill_n(x, rows * kChunk, 0.0);
    for (int64_t j = 0; j < count; j++) {
      const int64_t component = chosen_[first + j];
      x[component * kChunk + j] = left && svd.values[component] < 0 ? -1 : 1;
    }
    simd<Unrotate>(x, &svd, left);
    if (left)
      for (int64_t k = n_ - 1; k >= 0; k--)
        simd<ReflectChunk>(x, k, m_, leftHead_[k], leftTau_[k], static_cast<const double*>(a_ + k), stride_);
    else
      for (int64_t k = n_ - 2; k >= 0; k--)
        simd<ReflectChunk>(x, k + 1, n_, rightHead_[k], rightTau_[k], static_cast<const double*>(a_ + k * stride_),
                           int64_t{1});
    write(x, rows, left == tall_, first, count);
  }

  void write(const double* x, int64_t rows, bool isUp, int64_t first, int64_t count) {
    float *up = call_.out[0].f32(), *down = call_.out[2].f32();
    for (int64_t i = 0; i < rows; i++)
      for (int64_t j = 0; j < count; j++)
        (isUp ? up[i * rank_ + first + j] : down[(first + j) * in_ + i]) = float(x[i * kChunk + j]);
  }

  // The entry of largest size in each row of down becomes positive.
  void fixSigns() {
    float *up = call_.out[0].f32(), *down = call_.out[2].f32();
    for (int64_t j = 0; j < rank_; j++) {
      float* row = down + j * in_;
      const float largest = *std::max_element(row, row + in_, [](float a, float b) { return std::fabs(a) < std::fabs(b); });
      if (largest >= 0) continue;
      for (int64_t i = 0; i < in_; i++) row[i] = -row[i];
      for (int64_t i = 0; i < out_; i++) up[i * rank_ + j] = -up[i * rank_ + j];
    }
  }

  const Call& call_;
  Context& context_;
  const Tensor& w_;
  const int64_t out_, in_;
  const bool tall_;  // the matrix worked on is w [m = out, n = in], otherwise w^T
  const int64_t m_, n_, stride_, rank_;
  double *a_, *partial_, *products_, *c_, *u_, *d_, *f_, *leftHead_, *leftTau_, *rightHead_, *rightTau_, *vectors_;
  std::vector<int64_t> chosen_;
};

}  // namespace

void svdComponents(const Call& call, Context& context) { Decomposition(call, context).run(); }

}  // namespace tlora::cpu
