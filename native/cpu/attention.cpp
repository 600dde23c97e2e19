// o = softmax(q k^T / sqrt(d)) v for each head, and lse = log(sum(exp(scores))). Float32. q, o [n, tq, c], k, v [n, tk, c],
// lse [n, heads, tq]; head h has channels h * d .. (h + 1) * d.
//
// Blocks of queries are the tasks; each walks over tiles of keys with a running maximum m, sum l and unscaled output
// (online softmax: Milakov and Gimelshein 2018; Dao et al. 2022). Only 32 queries x one tile of keys exist as scores.
// Queries are lanes: scores are S^T [keys, queries] = K Q^T and the output O^T [d, queries] += V^T P^T. Scores carry log2(e),
// so that probabilities are powers of two.
#include "attentionTile.h"

namespace tlora::cpu {
namespace {

using namespace attentionTile;

constexpr int64_t kKeyTile = 128;

// The state of a block's queries, 32 at a time.
struct Lanes {
  float* scores;  // [keys, kLanes]
  float* p;       // panels [keys][16]
  float* output;  // [d, kLanes]
  float *most, *sum;
};

// Scores to probabilities against the running maximum; the sum and the output follow a new maximum.
// With a causal mask lane i sees key j up to `diagonal` + i.
struct Softmax {
  template <int W>
  TLORA_INLINE static void run(const Lanes* lanes, int64_t keys, int64_t width, int64_t d, bool masked, int64_t diagonal) {
    for (int64_t lane = 0; lane < width; lane += W) {
      float* s = lanes->scores + lane;
      if (masked) {
        for (int64_t j = 0; j < keys; j++)
          for (int64_t i = 0; i < W; i++)
            if (j > diagonal + lane + i) s[j * kLanes + i] = -INFINITY;
      }
      const Vec<W> before = load<W>(lanes->most + lane);
      Vec<W> most = before;
      for (int64_t j = 0; j < keys; j++) most = maxOf(load<W>(s + j * kLanes), most);
      float* p = lanes->p + (lane / kPanelLanes) * keys * kPanelLanes + lane % kPanelLanes;
      Vec<W> sum = fill<W>(0);
      for (int64_t j = 0; j < keys; j++) {
        const Vec<W> score = load<W>(s + j * kLanes);
        Vec<W> v = exp2Negative(score - most);
        if (masked) v = score == -INFINITY ? Vec<W>{} : v;
        sum += v;
        store(p + j * kPanelLanes, v);
      }
      const Vec<W> change = exp2Negative(before - most);
      store(lanes->sum + lane, load<W>(lanes->sum + lane) * change + sum);
      store(lanes->most + lane, most);
      float* output = lanes->output + lane;
      for (int64_t e = 0; e < d; e++) store(output + e * kLanes, load<W>(output + e * kLanes) * change);
    }
  }
};

struct ScalePanels {  // to [d] = factor * one row of panels, `panel` floats apart
  template <int W>
  TLORA_INLINE static void run(const float* from, int64_t panel, float factor, float* to, int64_t d) {
    eachVec<W>(d, [&](int64_t e, auto part) TLORA_INLINE_LAMBDA {
      store(to + e, load<W>(from + e / kPanelLanes * panel + e % kPanelLanes, part) * factor, part);
    });
  }
};

struct Forward {
  Heads heads;
  int64_t keyTile;
  Product product;
  const float *q, *k, *v;
  float *o, *lse;

  // Queries first .. first + count of one head.
  void block(void* workspace, int64_t sample, int64_t head, int64_t first, int64_t count) const {
    const int64_t d = heads.d, width = roundUp(count, kPanelLanes);
    Tiles tiles(workspace);
    float* queries = tiles.take(width * d);
    float* output = tiles.take(roundUp(width, kLanes) * d);
    float* most = tiles.take(width);
    float* sum = tiles.take(width);
    float* keys = tiles.take(keyTile * d);
    float* values = tiles.take(keyTile * d);
    float* scores = tiles.take(keyTile * kLanes);
    float* p = tiles.take(keyTile * kLanes);
    float* spare = tiles.take(roundUp(d, kPanelLanes) * kLanes);
    packLanes(q + heads.at(heads.tq, sample, head, first), heads.c, count, d, queries);
    std::fill(most, most + width, -INFINITY);
    std::fill(sum, sum + width, 0.0f);
    std::fill(output, output + roundUp(width, kLanes) * d, 0.0f);

    const int64_t end = heads.causal ? std::min(heads.tk, first + count) : heads.tk;
    for (int64_t j = 0; j < end; j += keyTile) {
      const int64_t height = std::min(keyTile, end - j);
      copyRows(k + heads.at(heads.tk, sample, head, j), heads.c, height, d, keys);
      copyRows(v + heads.at(heads.tk, sample, head, j), heads.c, height, d, values);
      const int64_t next = std::min(keyTile, end - j - height), share = (next * kLanes + width - 1) / width;
      for (int64_t lane = 0, ahead = 0; lane < width; lane += kLanes, ahead += share) {
        const int64_t lanes = std::min(kLanes, width - lane), diagonal = first + lane - j;
        for (const float* from : {k, v})
          prefetchRows(from + heads.at(heads.tk, sample, head, j + height + ahead), heads.c,
                       std::min(share, next - ahead), d);
        if (heads.causal && diagonal + lanes <= 0) continue;
        float* out = output + lane * d;
        product(ALayout::rows, height, lanes, d, keys, d, queries + lane * d, d * kPanelLanes, scores, kLanes, false,
                heads.scale * kLog2E);
        const Lanes state{scores, p, out, most + lane, sum + lane};
        simd<Softmax>(&state, height, lanes, d, heads.causal && diagonal < height, diagonal);
        product(ALayout::columns, d, lanes, height, values, d, p, height * kPanelLanes, out, kLanes, true);
      }
    }
    float* rows = o + heads.at(heads.tq, sample, head, first);
    eachRow(output, count, d, spare, [&](int64_t i, const float* values, int64_t panel) {
      simd<ScalePanels>(values, panel, 1 / sum[i], rows + i * heads.c, d);
    });
    if (lse == nullptr) return;
    float* ends = lse + (sample * heads.heads + head) * heads.tq + first;
    for (int64_t i = 0; i < count; i++) ends[i] = (most[i] + std::log2(sum[i])) / kLog2E;
  }
};

}  // namespace

// What a query gets does not depend on the others in its block, so blocks may be smaller where there are many threads.
void attention(const Call& call, Context& context) {
  const Heads h = headsOf(call);
  const int64_t keyTile = tileSize(h.d, 32768, 16, kKeyTile), pairs = h.n * h.heads;
  int64_t queryBlock = tileSize(h.d, 65536, kLanes, 512);
  const auto blocksOf = [&] { return (h.tq + queryBlock - 1) / queryBlock; };
  while (queryBlock > 2 * kLanes && pairs * blocksOf() < 4 * context.pool.threads())
    queryBlock = roundUp(queryBlock / 2, kLanes);

  const float *q = call.in[0].f32(), *k = call.in[1].f32(), *v = call.in[2].f32();
  const Forward forward{h, keyTile, {microKernels()}, q, k, v, call.out[0].f32(), call.out[1].f32()};
  const int64_t blocks = blocksOf();
  context.pool.run(pairs * blocks, [&](int64_t task, int thread) {
    const int64_t first = task % blocks * queryBlock, head = task / blocks % h.heads, sample = task / blocks / h.heads;
    forward.block(context.workspace(thread), sample, head, first, std::min(queryBlock, h.tq - first));
  });
}

}  // namespace tlora::cpu
