// With y = A^T [ sum over channels (G g G^T) . (B^T d B) ] A for each tile of 2x2 outputs (winograd.cpp),
//   dg = G^T [ sum over tiles (A dy A^T) . (B^T d B) ] G
// and the sum is 16 matrix products, one for each place of the 4x4: [outs, tiles] x [tiles, channels].
//
// The tiles are cut into slices, outputs and channels into blocks. A task goes through its slice in steps of kStepTiles:
// D = A dy A^T [place][tile][out] and V = B^T d B [place][tile][channel] (second-level cache), then adds the 16 products to
// its own sums [place][out][channel]. At the end the slices are added in order and transformed to dw. Cuts depend on sizes
// only.
#include "winogradGradient.h"

#include <algorithm>
#include <cstring>

#include "gemm.h"
#include "winogradTransform.h"

namespace tlora {
namespace {

constexpr int64_t kStepTiles = 96;
constexpr int64_t kBlock = 96;              // outputs or channels of a task
constexpr int64_t kRow = kBlock + 16;       // an odd number of cache lines: rows lie in different sets
constexpr int64_t kPlace = kStepTiles * kRow + 16;
constexpr int64_t kWantedTasks = 16;
constexpr int64_t kLeastSteps = 2;          // of a slice: its sums are written and read again
constexpr int64_t kMostWeights = int64_t{1} << 18;  // outs times channels: one slice of sums takes 16 MB
constexpr int64_t kLeastWidth = 16, kLeastTiles = 64;

struct Space {
  float d[kPlaces * kPlace];
  float v[kPlaces * kPlace];
  float zeros[kBlock];
};
constexpr size_t kSpaceBytes = (sizeof(Space) + 63) / 64 * 64;
static_assert(kSpaceBytes + kGemmWorkspaceBytes <= kWorkspaceBytes);

int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t tilesOf(int64_t images, int64_t height, int64_t width) { return images * ((height + 1) / 2) * ((width + 1) / 2); }

int64_t slicesOf(int64_t tiles, int64_t channels, int64_t outs) {
  const int64_t blocks = ceilDiv(channels, kBlock) * ceilDiv(outs, kBlock);
  return std::max<int64_t>(1, std::min(ceilDiv(kWantedTasks, blocks), tiles / (kLeastSteps * kStepTiles)));
}

// D = A dy A^T for `count` outputs of the four pixels of one tile.
struct TransformGradient {
  template <int W>
  TLORA_INLINE static void run(const float* const* pixels, int64_t count, float* d, int64_t place) {
    eachVec<W>(count, [&](int64_t o, auto part) TLORA_INLINE_LAMBDA {
      Vec<W> t[4][2];
      for (int j = 0; j < 2; j++) {
        const Vec<W> up = load<W>(pixels[j] + o, part), down = load<W>(pixels[2 + j] + o, part);
        t[0][j] = up;
        t[1][j] = up + down;
        t[2][j] = up - down;
        t[3][j] = -down;
      }
      float* to = d + o;
      for (int i = 0; i < 4; i++, to += 4 * place) {
        store(to, t[i][0], part);
        store(to + place, t[i][0] + t[i][1], part);
        store(to + 2 * place, t[i][0] - t[i][1], part);
        store(to + 3 * place, -t[i][1], part);
      }
    });
  }
};

// dg = G^T u G for `count` channels of one output, u the sum over slices; taps lie `tap` floats apart.
struct TransformSums {
  template <int W>
  TLORA_INLINE static void run(const float* sums, int64_t place, int64_t slices, int64_t slice, int64_t count, float* dw,
                               int64_t tap) {
    eachVec<W>(count, [&](int64_t c, auto part) TLORA_INLINE_LAMBDA {
      Vec<W> t[3][4];
      for (int j = 0; j < 4; j++) {
        Vec<W> u[4];
        for (int i = 0; i < 4; i++) {
          const float* from = sums + (4 * i + j) * place + c;
          u[i] = load<W>(from, part);
          for (int64_t s = 1; s < slices; s++) u[i] += load<W>(from + s * slice, part);
        }
        const Vec<W> outer = (u[1] + u[2]) * 0.5f;
        t[0][j] = u[0] + outer;
        t[1][j] = (u[1] - u[2]) * 0.5f;
        t[2][j] = outer + u[3];
      }
      for (int i = 0; i < 3; i++) {
        const Vec<W> outer = (t[i][1] + t[i][2]) * 0.5f;
        store(dw + (3 * i + 0) * tap + c, t[i][0] + outer, part);
        store(dw + (3 * i + 1) * tap + c, (t[i][1] - t[i][2]) * 0.5f, part);
        store(dw + (3 * i + 2) * tap + c, outer + t[i][3], part);
      }
    });
  }
};

struct Task {
  int64_t tile0, tile1, out0, outs, channel0, channels;
  float* sums;  // [place][outs of all][channels of all], at out0 and channel0
};

// The pixel (y, x) of an image at a channel, or zeros outside.
const float* pixelOr(const float* picture, const WinogradGradient& g, int64_t image, int64_t y, int64_t x, int64_t width,
                     int64_t channel, const float* zeros) {
  const bool inside = y >= 0 && x >= 0 && y < g.height && x < g.width;
  return inside ? picture + ((image * g.height + y) * g.width + x) * width + channel : zeros;
}

void transformTile(const WinogradGradient& g, const Task& task, int64_t tile, int64_t row, Space& space) {
  const int64_t columns = (g.width + 1) / 2, rows = (g.height + 1) / 2;
  const int64_t image = tile / (rows * columns), y = tile / columns % rows * 2, x = tile % columns * 2;
  const float *outputs[4], *inputs[kPlaces];
  for (int64_t p = 0; p < 4; p++)
    outputs[p] = pixelOr(g.dy, g, image, y + p / 2, x + p % 2, g.outs, task.out0, space.zeros);
  for (int64_t p = 0; p < kPlaces; p++)
    inputs[p] = pixelOr(g.x, g, image, y - 1 + p / 4, x - 1 + p % 4, g.channels, task.channel0, space.zeros);
  simd<TransformGradient>(static_cast<const float* const*>(outputs), task.outs, space.d + row * kRow, kPlace);
  simd<TransformInput>(static_cast<const float* const*>(inputs), task.channels, space.v + row * kRow, kPlace);
}

void runTask(const WinogradGradient& g, const Task& task, const std::atomic<bool>& cancelled, void* workspace) {
  Space& space = *static_cast<Space*>(workspace);
  std::memset(space.zeros, 0, sizeof space.zeros);
  for (int64_t tile = task.tile0; tile < task.tile1; tile += kStepTiles) {
    if (cancelled.load(std::memory_order_relaxed)) return;
    const int64_t count = std::min(kStepTiles, task.tile1 - tile);
    for (int64_t i = 0; i < count; i++) transformTile(g, task, tile + i, i, space);
    for (int64_t place = 0; place < kPlaces; place++)
      gemmTile(static_cast<char*>(workspace) + kSpaceBytes, task.outs, task.channels, count,
               columnsOf(space.d + place * kPlace, kRow), rowsOf(space.v + place * kPlace, kRow),
               task.sums + place * g.outs * g.channels, g.channels, {.accumulate = tile > task.tile0});
  }
}

}  // namespace

int64_t winogradGradientFloats(int64_t images, int64_t height, int64_t width, int64_t channels, int64_t outs) {
  const int64_t tiles = tilesOf(images, height, width);
  if (channels < kLeastWidth || outs < kLeastWidth || tiles < kLeastTiles || channels * outs > kMostWeights) return 0;
  return kPlaces * channels * outs * slicesOf(tiles, channels, outs);
}

void winogradGradient(Context& context, const WinogradGradient& g, float* scratch) {
  const int64_t tiles = tilesOf(g.images, g.height, g.width), slices = slicesOf(tiles, g.channels, g.outs);
  const int64_t outBlocks = ceilDiv(g.outs, kBlock), channelBlocks = ceilDiv(g.channels, kBlock);
  const int64_t blocks = outBlocks * channelBlocks, place = g.outs * g.channels, slice = kPlaces * place;
  context.pool.run(slices * blocks, [&](int64_t task, int thread) {
    const int64_t s = task / blocks, ob = task % blocks / channelBlocks, cb = task % channelBlocks;
    const int64_t out0 = g.outs * ob / outBlocks, out1 = g.outs * (ob + 1) / outBlocks;
    const int64_t channel0 = g.channels * cb / channelBlocks, channel1 = g.channels * (cb + 1) / channelBlocks;
    runTask(g,
            {tiles * s / slices, tiles * (s + 1) / slices, out0, out1 - out0, channel0, channel1 - channel0,
             scratch + s * slice + out0 * g.channels + channel0},
            context.cancelled, context.workspace(thread));
  });
  context.pool.run(g.outs, [&](int64_t out, int) {
    simd<TransformSums>(static_cast<const float*>(scratch + out * g.channels), place, slices, slice, g.channels,
                        g.dw + out * 9 * g.channels, g.channels);
  });
}

}  // namespace tlora
