// Instructions of a whole warp or block: barriers, shuffles, votes, matrices (PTX ISA, "shfl.sync", "vote.sync", "ldmatrix", "mma",
// "Matrix Fragments for mma.m16n8k16 with floating point type", "bar", "griddepcontrol").
#include "types.h"

namespace tlora::ptx {

namespace {

// ---- shfl: lanes of one segment read each other's values; out of its bounds a lane reads its own.

enum class Shuffle : uint8_t { up, down, bfly, idx };

struct Shuffled {
  uint32_t a[kLanes], b[kLanes], c[kLanes], members[kLanes], out[kLanes];
  uint32_t inside;
};

// Results: d and, with `count` 2, a predicate; then a, b, c and the mask.
void gather(Warp& w, const Instruction& in, uint32_t lanes, Shuffled& s) {
  const unsigned first = in.count;
  uint32_t* const to[] = {s.a, s.b, s.c, s.members};
  for (unsigned o = 0; o < 4; o++) {
    const uint32_t* from = w.at<uint32_t>(in.at[first + o]);
    for (unsigned i = 0; i < kLanes; i++) to[o][i] = lanes >> i & 1 ? from[i] : to[o][i];
  }
}

void exchange(Warp& w, Shuffle mode, uint32_t lanes, Shuffled& s) {
  s.inside = 0;
  for (uint32_t left = lanes; left; left &= left - 1) {
    const unsigned lane = unsigned(__builtin_ctz(left));
    const unsigned step = s.b[lane] & 31, clamp = s.c[lane] & 31, segment = s.c[lane] >> 8 & 31;
    const int most = int((lane & segment) | (clamp & ~segment)), least = int(lane & segment);
    int from = 0;
    switch (mode) {
      case Shuffle::up: from = int(lane) - int(step); break;
      case Shuffle::down: from = int(lane + step); break;
      case Shuffle::bfly: from = int(lane ^ step); break;
      case Shuffle::idx: from = int(unsigned(least) | (step & ~segment)); break;
    }
    const bool inside = mode == Shuffle::up ? from >= most : from <= most;
    if (!inside) from = int(lane);
    if (!(s.members[lane] >> from & 1)) w.fail(lane, "the thread reads lane " + std::to_string(from) + ", which is not in its mask");
    if (!(lanes >> from & 1)) w.fail(lane, "the thread reads lane " + std::to_string(from) + ", which has ended or never was");
    s.out[lane] = s.a[from];
    s.inside |= uint32_t{inside} << lane;
  }
}

void scatter(Warp& w, const Instruction& in, const Shuffled& s) {
  put<uint32_t>(w, in.at[0], [&](unsigned i) { return s.out[i]; });
  if (in.count == 2) putPredicate(w, in.at[1], s.inside);
}

void shuffle(Warp& w, const Instruction& in) {
  Shuffled s;
  gather(w, in, kEveryLane, s);
  exchange(w, Shuffle(in.immediate), w.mask, s);
  scatter(w, in, s);
}

void decodeShuffle(Decoder& d) {
  if (!d.mod("sync")) d.unknown();
  d.in.immediate = int64_t(d.mod("up") ? Shuffle::up : d.mod("down") ? Shuffle::down : d.mod("bfly") ? Shuffle::bfly : d.mod("idx") ? Shuffle::idx : (d.unknown(), Shuffle::up));
  if (d.type() != Type::b32) d.unknown();
  d.in.count = d.resultAndPredicate(Type::b32) ? 2 : 1;
  for (int i = 0; i < 4; i++) d.source(Type::b32);
  d.in.run = shuffle;
  d.in.flow = Flow::together;
}

// ---- vote: at = d, predicate, mask

enum class Vote : uint8_t { all, any, uni, ballot };

void vote(Warp& w, const Instruction& in) {
  const uint32_t predicate = *w.at<uint32_t>(in.at[1]) ^ (in.count ? kEveryLane : 0);
  const uint32_t* members = w.at<uint32_t>(in.at[2]);
  uint32_t bits = 0;
  uint32_t ballots[kLanes];
  for (unsigned i = 0; i < kLanes; i++) {
    const uint32_t of = members[i] & w.mask, yes = predicate & of;
    ballots[i] = yes;
    const bool says = Vote(in.immediate) == Vote::all ? yes == of : Vote(in.immediate) == Vote::any ? yes != 0 : yes == of || yes == 0;
    bits |= uint32_t{says} << i;
  }
  if (Vote(in.immediate) == Vote::ballot) put<uint32_t>(w, in.at[0], [&](unsigned i) { return ballots[i]; });
  else putPredicate(w, in.at[0], bits);
}

void decodeVote(Decoder& d) {
  if (!d.mod("sync")) d.unknown();
  const Vote what = d.mod("all") ? Vote::all : d.mod("any") ? Vote::any : d.mod("uni") ? Vote::uni : d.mod("ballot") ? Vote::ballot : (d.unknown(), Vote::all);
  const Type type = d.type();
  if (type != (what == Vote::ballot ? Type::b32 : Type::pred)) d.unknown();
  d.result(type);
  d.in.count = d.peek().kind == Token::negated;
  d.source(Type::pred);
  d.source(Type::b32);
  d.in.immediate = int64_t(what);
  d.in.run = vote;
  d.in.flow = Flow::together;
}

// ---- barriers

void decodeBarrier(const std::string& name, Decoder& d) {
  if (d.mod("warp")) {
    if (!d.mod("sync")) d.unknown();
    d.source(Type::b32);
    d.in.flow = Flow::together;
    d.in.run = [](Warp& w, const Instruction&) {
      if (w.block->races() && w.mask == w.begun) w.synced = w.block->races()->passWarp();
    };
    return;
  }
  // barrier.sync needs not all lanes of a warp at once; with .aligned and as bar.sync it does.
  d.mod("cta");
  if (!d.mod("sync") || (name == "barrier" && !d.mod("aligned"))) d.unknown();
  if (d.literal() != 0 || d.more()) d.unknown("a barrier but 0 of the whole block");
  d.in.flow = Flow::barrier;
}

// ---- ldmatrix: lane l gives the address of row l % 8 of matrix l / 8; lane l gets elements 2 (l % 4) and the next of row l / 4.

void loadMatrices(Warp& w, const Instruction& in) {
  const unsigned matrices = in.results, rows = matrices * 8;
  const bool transposed = in.count != 0;
  const uint32_t* base = w.at<uint32_t>(in.at[matrices]);
  Block& block = *w.block;
  uint16_t tile[4][8][8];
  for (unsigned lane = 0; lane < rows; lane++) {
    const uint64_t at = uint32_t(base[lane] + uint32_t(in.immediate));
    if (at % 16) w.fail(lane, "a row of ldmatrix at " + std::to_string(at) + ", which is not on 16 bytes");
    if (at < kReservedShared || at + 16 > kReservedShared + block.sharedBytes()) {
      w.fail(lane, "a row of ldmatrix at byte " + std::to_string(int64_t(at) - int64_t(kReservedShared)) + " of the block's " + std::to_string(block.sharedBytes()) + " of shared memory");
    }
    if (block.races()) {
      const char* wrong = block.races()->read(size_t(at - kReservedShared), 16, w.index * kLanes + lane, w.synced);
      if (wrong) w.fail(lane, std::string(wrong) + " (byte " + std::to_string(at - kReservedShared) + ")");
    }
    memcpy(tile[lane / 8][lane % 8], block.shared() + (at - kReservedShared), 16);
  }
  for (unsigned m = 0; m < matrices; m++) {
    uint32_t* d = w.at<uint32_t>(in.at[m]);
    for (unsigned lane = 0; lane < kLanes; lane++) {
      const unsigned row = lane / 4, column = lane % 4 * 2;
      const uint32_t low = transposed ? tile[m][column][row] : tile[m][row][column];
      const uint32_t high = transposed ? tile[m][column + 1][row] : tile[m][row][column + 1];
      d[lane] = low | high << 16;
    }
  }
}

void decodeLoadMatrices(Decoder& d) {
  if (!d.mod("sync") || !d.mod("aligned") || !d.mod("m8n8")) d.unknown();
  const unsigned matrices = d.mod("x1") ? 1 : d.mod("x2") ? 2 : d.mod("x4") ? 4 : 0;
  d.in.count = d.mod("trans");
  if (!d.mod("shared") && !d.mod("shared::cta")) d.unknown();
  if (d.type() != Type::b16 || d.several(Type::b32, true, true) != matrices || d.address() != Width::b32) d.unknown();
  d.in.run = loadMatrices;
  d.in.flow = Flow::aligned;
}

// ---- mma.m16n8k16, sums in single precision. With g = lane / 4 and t = lane % 4, of the elements of a fragment in order:
//   a_i: row g for i in 0, 1, 4, 5, else g + 8; column 2 t + i % 2, and 8 more from i = 4 on
//   b_i: row 2 t + i % 2, and 8 more from i = 2 on; column g
//   c_i: row g for i < 2, else g + 8; column 2 t + i % 2

template <class T>
void multiplyMatrices(Warp& w, const Instruction& in) {
  float a[16][16], b[16][8], c[16][8];
  const auto element = [&](Place place, unsigned lane, unsigned half) { return floatOf(T{uint16_t(w.at<uint32_t>(place)[lane] >> (16 * half))}); };
  for (unsigned lane = 0; lane < kLanes; lane++) {
    const unsigned g = lane / 4, t = lane % 4;
    for (unsigned i = 0; i < 8; i++) {
      const unsigned row = i < 2 || (i >= 4 && i < 6) ? g : g + 8, column = t * 2 + (i & 1) + (i >= 4 ? 8 : 0);
      a[row][column] = element(in.at[4 + i / 2], lane, i % 2);
    }
    for (unsigned i = 0; i < 4; i++) b[t * 2 + (i & 1) + (i >= 2 ? 8 : 0)][g] = element(in.at[8 + i / 2], lane, i % 2);
    for (unsigned i = 0; i < 4; i++) c[i < 2 ? g : g + 8][t * 2 + (i & 1)] = w.at<float>(in.at[10 + i])[lane];
  }
  for (unsigned row = 0; row < 16; row++) {
    float sum[8];
    for (unsigned n = 0; n < 8; n++) sum[n] = c[row][n];
    for (unsigned k = 0; k < 16; k++) {
      for (unsigned n = 0; n < 8; n++) sum[n] = __builtin_fmaf(a[row][k], b[k][n], sum[n]);
    }
    for (unsigned n = 0; n < 8; n++) c[row][n] = sum[n];
  }
  for (unsigned i = 0; i < 4; i++) {
    float* d = w.at<float>(in.at[i]);
    for (unsigned lane = 0; lane < kLanes; lane++) d[lane] = c[i < 2 ? lane / 4 : lane / 4 + 8][lane % 4 * 2 + (i & 1)];
  }
}

void decodeMultiplyMatrices(Decoder& d) {
  if (!d.mod("sync") || !d.mod("aligned") || !d.mod("m16n8k16") || !d.mod("row") || !d.mod("col")) d.unknown();
  const bool brain = d.mod("bf16") && d.mod("bf16"), half = !brain && d.mod("f16") && d.mod("f16");
  if ((!brain && !half) || !d.mod("f32") || !d.mod("f32")) d.unknown();
  if (d.several(Type::f32, true, true) != 4 || d.several(Type::b32, false, true) != 4 || d.several(Type::b32, false, true) != 2 || d.several(Type::f32, false, true) != 4) d.unknown();
  d.in.run = brain ? multiplyMatrices<Bfloat> : multiplyMatrices<Half>;
  d.in.flow = Flow::aligned;
}

void decodeDependency(Decoder& d) {
  if (!d.mod("wait") && !d.mod("launch_dependents")) d.unknown();
  const bool waits = d.statement().mods[0] == "wait";
  d.in.run = waits ? [](Warp& w, const Instruction&) { w.dependencyAwaited |= w.mask; } : [](Warp&, const Instruction&) {};
}

}  // namespace

bool meet(Warp& w, const std::vector<Meeting>& groups) {
  Shuffled s = {};
  uint32_t all = 0;
  for (const Meeting& group : groups) {
    if (group.in->run != shuffle || group.in->immediate != groups[0].in->immediate) return false;
    gather(w, *group.in, group.lanes, s);
    all |= group.lanes;
  }
  for (uint32_t left = all; left; left &= left - 1) {
    const uint32_t members = s.members[unsigned(__builtin_ctz(left))];
    if (members != s.members[unsigned(__builtin_ctz(all))] || (members & w.live) != all) return false;
  }
  exchange(w, Shuffle(groups[0].in->immediate), all, s);
  for (const Meeting& group : groups) {
    w.setMask(group.lanes);
    scatter(w, *group.in, s);
  }
  return true;
}

bool decodeWarp(const std::string& name, Decoder& d) {
  if (name == "shfl") decodeShuffle(d);
  else if (name == "vote") decodeVote(d);
  else if (name == "bar" || name == "barrier") decodeBarrier(name, d);
  else if (name == "ldmatrix") decodeLoadMatrices(d);
  else if (name == "mma") decodeMultiplyMatrices(d);
  else if (name == "griddepcontrol") decodeDependency(d);
  else if (name == "activemask") {
    if (d.type() != Type::b32) d.unknown();
    d.result(Type::b32);
    d.in.run = [](Warp& w, const Instruction& in) { put<uint32_t>(w, in.at[0], [&](unsigned) { return w.mask; }); };
  } else {
    return false;
  }
  d.in.crossLane = d.in.observes = true;
  return true;
}

}  // namespace tlora::ptx
