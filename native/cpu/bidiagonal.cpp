// Implicit QR iteration on an upper bidiagonal matrix: Golub and Kahan (1965), with the zero shift of Demmel and Kahan,
// "Accurate singular values of bidiagonal matrices" (SIAM J. Sci. Stat. Comput. 11, 1990), where a shift would spoil small values.
#include "bidiagonal.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"

namespace tlora::cpu {
namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon() / 2;

struct Given {
  double c, s, r;  // [c s; -s c] (f, g) = (r, 0)
};

Given rotate(double f, double g) {
  if (g == 0) return {1, 0, f};
  if (f == 0) return {0, 1, g};
  const double r = std::copysign(std::hypot(f, g), f);
  return {f / r, g / r, r};
}

// The smaller singular value of [f g; 0 h] (LAPACK's dlas2).
double smallerSingular(double f, double g, double h) {
  f = std::fabs(f), g = std::fabs(g), h = std::fabs(h);
  const double small = std::min(f, h), large = std::max(f, h);
  if (small == 0) return 0;
  const double as = 1 + small / large, at = (large - small) / large;
  if (g < large) {
    const double au = (g / large) * (g / large);
    return small * (2 / (std::sqrt(as * as + au) + std::sqrt(at * at + au)));
  }
  const double au = large / g;
  if (au == 0) return small * large / g;
  return 2 * (small * (1 / (std::sqrt(1 + as * au * (as * au)) + std::sqrt(1 + at * au * (at * au))))) * au;
}

class Iteration {
 public:
  Iteration(BidiagonalSvd& out, std::vector<double>& super) : out_(out), d_(out.values), e_(super) {}

  void run() {
    const int64_t n = int64_t(d_.size());
    double largest = 0;
    for (int64_t i = 0; i < n; i++) largest = std::max({largest, std::fabs(d_[i]), i + 1 < n ? std::fabs(e_[i]) : 0.0});
    negligible_ = kEps * largest;
    const size_t most = 60 * size_t(n) + 1000;
    for (int64_t high = n - 1; high > 0;) {
      const int64_t low = blockStart(high);
      if (low == high) high--;
      else if (out_.sweeps.size() > most) fail(kNonFinite, "the singular values do not converge");
      else sweep(low, high);
    }
  }

 private:
  // Zeroes what is negligible; the first row of the unreduced block that ends at `high`.
  int64_t blockStart(int64_t high) {
    for (int64_t i = high - 1; i >= 0; i--) {
      if (std::fabs(e_[i]) <= kEps * (std::fabs(d_[i]) + std::fabs(d_[i + 1])) || std::fabs(e_[i]) <= negligible_) {
        e_[i] = 0;
        return i + 1;
      }
    }
    return 0;
  }

  // 0 where the shift is no gain, or would cost small singular values their accuracy: always with a zero on the diagonal.
  double shiftOf(int64_t low, int64_t high) const {
    double least = std::fabs(d_[low]), mu = least, largest = least;
    for (int64_t i = low; i < high; i++) {
      mu = mu == 0 ? 0 : std::fabs(d_[i + 1]) * (mu / (mu + std::fabs(e_[i])));
      least = std::min(least, mu);
      largest = std::max({largest, std::fabs(d_[i + 1]), std::fabs(e_[i])});
    }
    if (least <= kEps * largest) return 0;
    const double shift = smallerSingular(d_[high - 1], e_[high - 1], d_[high]);
    const double ratio = shift / std::fabs(d_[low]);
    return ratio * ratio < kEps ? 0 : shift;
  }

  void sweep(int64_t low, int64_t high) {
    out_.sweeps.push_back({low, high, out_.rotations.size()});
    const double shift = shiftOf(low, high);
    if (shift == 0) unshifted(low, high);
    else shifted(low, high, shift);
  }

  void unshifted(int64_t low, int64_t high) {
    Given right{1, 0, 0}, left{1, 0, 0};
    for (int64_t i = low; i < high; i++) {
      right = rotate(d_[i] * right.c, e_[i]);
      if (i > low) e_[i - 1] = left.s * right.r;
      left = rotate(left.c * right.r, d_[i + 1] * right.s);
      d_[i] = left.r;
      out_.rotations.push_back({right.c, right.s, left.c, left.s});
    }
    const double last = d_[high] * right.c;
    d_[high] = last * left.c;
    e_[high - 1] = last * left.s;
  }

  void shifted(int64_t low, int64_t high, double shift) {
    double f = (std::fabs(d_[low]) - shift) * (std::copysign(1.0, d_[low]) + shift / d_[low]), g = e_[low];
    for (int64_t i = low; i < high; i++) {
      const Given right = rotate(f, g);
      if (i > low) e_[i - 1] = right.r;
      f = right.c * d_[i] + right.s * e_[i];
      e_[i] = right.c * e_[i] - right.s * d_[i];
      g = right.s * d_[i + 1];
      d_[i + 1] *= right.c;
      const Given left = rotate(f, g);
      d_[i] = left.r;
      f = left.c * e_[i] + left.s * d_[i + 1];
      d_[i + 1] = left.c * d_[i + 1] - left.s * e_[i];
      if (i + 1 < high) {
        g = left.s * e_[i + 1];
        e_[i + 1] *= left.c;
      }
      out_.rotations.push_back({right.c, right.s, left.c, left.s});
    }
    e_[high - 1] = f;
  }

  BidiagonalSvd& out_;
  std::vector<double>&d_, &e_;
  double negligible_ = 0;
};

}  // namespace

BidiagonalSvd bidiagonalSvd(const double* diagonal, const double* super, int64_t n) {
  BidiagonalSvd out;
  out.values.assign(diagonal, diagonal + n);
  std::vector<double> e(super, super + std::max<int64_t>(n - 1, 0));
  out.rotations.reserve(size_t(n) * size_t(n));
  Iteration(out, e).run();
  return out;
}

}  // namespace tlora::cpu
