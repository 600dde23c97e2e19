// The twin of native/cuda/fusedAttention.cpp. It covers what cuDNN covers for certain, the 16-bit types at head widths that are multiples
// of 8 up to 128, and leaves all the rest to our own kernels. Scores and sums in float32.
#include "cuda/fusedAttention.h"

#include <cmath>

#include "cuda/shapeText.h"
#include "emulatedLibraries.h"

namespace tlora::cuda {
namespace {

bool covered(const FusedAttention& s) {
  return s.dtype != DType::f32 && !s.causal && s.d % 8 == 0 && s.d <= 128 && s.queryRow % 8 == 0 && s.keyRow % 8 == 0;
}

// Row t of a head in a dense tensor [n, tokens, heads * d].
struct Head {
  const FusedAttention& s;
  int64_t sample, head;
  int64_t row(int64_t tokens, int64_t t) const { return ((sample * tokens + t) * s.heads + head) * s.d; }
};

template <class Body>
void eachHead(const FusedAttention& s, Body body) {
  for (int64_t sample = 0; sample < s.n; sample++)
    for (int64_t head = 0; head < s.heads; head++) body(Head{s, sample, head});
}

float dot(const float* a, const float* b, int64_t d) {
  float sum = 0;
  for (int64_t i = 0; i < d; i++) sum += a[i] * b[i];
  return sum;
}

// Dense tensors of what lies in rows of any stride, and back.
struct Operands {
  const FusedAttention& s;
  int64_t c = s.heads * s.d;

  std::vector<float> queries(const void* data) const { return gather(data, s.n * s.tq, s.queryRow); }
  std::vector<float> keys(const void* data) const { return gather(data, s.n * s.tk, s.keyRow); }
  std::vector<float> outputs(const void* data) const { return gather(data, s.n * s.tq, s.outRow()); }

  // Elements between the rows are others': they are neither read nor written.
  std::vector<float> gather(const void* data, int64_t tokens, int64_t row) const {
    std::vector<float> out(size_t(tokens * c));
    for (int64_t i = 0; i < tokens * c; i++) out[size_t(i)] = floatAt(data, s.dtype, i / c * row + i % c);
    return out;
  }
  void scatter(const std::vector<float>& values, void* to, int64_t row) const {
    for (int64_t i = 0; to && i < int64_t(values.size()); i++) putFloat(to, s.dtype, i / c * row + i % c, values[size_t(i)]);
  }
};

void forward(const FusedAttention& s, const void* q, const void* k, const void* v, void* o, float* lse) {
  const Operands all{s};
  const std::vector<float> fq = all.queries(q), fk = all.keys(k), fv = all.keys(v);
  std::vector<float> out(fq.size()), scores(size_t(s.tk));
  const float scale = 1 / std::sqrt(float(s.d));
  eachHead(s, [&](const Head& head) {
    for (int64_t i = 0; i < s.tq; i++) {
      float most = -INFINITY, sum = 0;
      for (int64_t j = 0; j < s.tk; j++) {
        scores[size_t(j)] = scale * dot(&fq[size_t(head.row(s.tq, i))], &fk[size_t(head.row(s.tk, j))], s.d);
        most = std::max(most, scores[size_t(j)]);
      }
      for (float& score : scores) sum += score = std::exp(score - most);
      float* to = &out[size_t(head.row(s.tq, i))];
      for (int64_t j = 0; j < s.tk; j++)
        for (int64_t c = 0; c < s.d; c++) to[c] += scores[size_t(j)] / sum * fv[size_t(head.row(s.tk, j) + c)];
      lse[(head.sample * s.heads + head.head) * s.tq + i] = most + std::log(sum);
    }
  });
  all.scatter(out, o, s.outRow());
}

void backward(const FusedAttention& s, const FusedAttentionGradient& t) {
  const Operands all{s};
  const std::vector<float> q = all.queries(t.q), k = all.keys(t.k), v = all.keys(t.v), o = all.outputs(t.o), dO = all.outputs(t.dO);
  std::vector<float> dq(q.size()), dk(k.size()), dv(k.size());
  const float scale = 1 / std::sqrt(float(s.d));
  eachHead(s, [&](const Head& head) {
    for (int64_t i = 0; i < s.tq; i++) {
      const size_t row = size_t(head.row(s.tq, i));
      const float lse = t.lse[(head.sample * s.heads + head.head) * s.tq + i], delta = dot(&dO[row], &o[row], s.d);
      for (int64_t j = 0; j < s.tk; j++) {
        const size_t column = size_t(head.row(s.tk, j));
        const float p = std::exp(scale * dot(&q[row], &k[column], s.d) - lse);
        const float ds = scale * p * (dot(&dO[row], &v[column], s.d) - delta);
        for (size_t c = 0; c < size_t(s.d); c++) {
          dq[row + c] += ds * k[column + c];
          dk[column + c] += ds * q[row + c];
          dv[column + c] += p * dO[row + c];
        }
      }
    }
  });
  all.scatter(dq, t.dq, s.queryRow);
  all.scatter(dk, t.dk, s.keyRow);
  all.scatter(dv, t.dv, s.keyRow);
}

}  // namespace

bool fusedAttention(Context& context, const FusedAttention& s, const void* q, const void* k, const void* v, void* o, float* lse,
                    const std::function<void()>& own) {
  if (!covered(s)) return false;
  expectAligned(textOf(s, "forward"), {q, k, v, o, lse});
  const auto work = [=] { forward(s, q, k, v, o, lse); };
  return runEmulated(context, {textOf(s, "forward"), work, [&] { return work; }, own});
}

bool fusedAttentionVjp(Context& context, const FusedAttention& s, const FusedAttentionGradient& t, const std::function<void()>& own) {
  if (!covered(s)) return false;
  expectAligned(textOf(s, "backward"), {t.q, t.k, t.v, t.o, t.lse, t.dO, t.dq, t.dk, t.dv});
  const auto work = [=] { backward(s, t); };
  return runEmulated(context, {textOf(s, "backward"), work, [&] { return work; }, own});
}

}  // namespace tlora::cuda
