// The picture is cut into tiles of 2x2 outputs, each with its 4x4 inputs d. For each tile and output channel
//   y = A^T [ sum over channels (G g G^T) . (B^T d B) ] A        . element by element, g the 3x3 weights
// so the sum is 16 matrix products, one for each place of the 4x4: [tiles, channels] x [channels, outs].
//
// A task takes a block of tiles and a group of outputs. For each block of channels it transforms its inputs once into V
// [place][tile][channel] (second-level cache), then for each 32 outputs transforms the weights into U
// [place][panel][channel][16] (second-level cache) and adds the 16 products to
// M [place][tile][out]. After the last block of channels, M becomes y.
//
// Order of sums: blocks of kBlockChannels, in order inside a block, for any grid of tasks.
#include "winograd.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "gemmMicro.h"
#include "gemmPack.h"
#include "winogradTransform.h"

namespace tlora {
namespace {

constexpr int64_t kBlockTiles = 70;      // most tiles of a task
constexpr int64_t kBlockChannels = 96;   // most at a time: V takes 0.5 MB, U 0.2 MB of the second-level cache
constexpr int64_t kPackedChannels = 32;  // at a time where weights must be turned as well: first-level cache
constexpr int64_t kUnit = kMostPanels * kPanel;
constexpr int64_t kGroupOuts = 448;      // most outputs of a task
constexpr int64_t kLeastOuts = 128;      // fewer are not worth their own transform of the inputs, unless a thread has nothing to do

constexpr int64_t kRowV = kBlockChannels + 16;  // an odd number of cache lines: rows and places lie in different sets
constexpr int64_t kPlaceV = kBlockTiles * kRowV + 16;
constexpr int64_t kPlaceU = kMostPanels * kBlockChannels * kPanel + 16;
constexpr int64_t kRowPacked = kPackedChannels + 16;
constexpr int64_t kPlacePacked = kPanel * kRowPacked + 16;
constexpr int64_t kRowM = kGroupOuts + 16;
constexpr int64_t kPlaceM = kBlockTiles * kRowM + 16;

struct Space {
  float v[kPlaces * kPlaceV];
  float u[kPlaces * kPlaceU];
  float m[kPlaces * kPlaceM];
  float packed[std::max(kPlaces * kPlacePacked, 9 * kPackedChannels * kUnit)];
  float zeros[kBlockChannels];
  float unwanted[kGroupOuts];
};
static_assert(sizeof(Space) <= kWorkspaceBytes);

struct Task {
  int64_t tile0, tiles, out0, outs;
};

// Where a tile's first output lies.
struct Corner {
  int64_t image, y, x;
  Corner(const WinogradConv& conv, int64_t tile) {
    const int64_t columns = (conv.width + 1) / 2, rows = (conv.height + 1) / 2;
    image = tile / (rows * columns);
    y = tile / columns % rows * 2;
    x = tile % columns * 2;
  }
};

void transformInputs(const WinogradConv& conv, const Task& task, int64_t channel, int64_t count, Space& space) {
  for (int64_t i = 0; i < task.tiles; i++) {
    const Corner corner(conv, task.tile0 + i);
    const float* pixels[kPlaces];
    for (int64_t place = 0; place < kPlaces; place++) {
      const int64_t y = corner.y - 1 + place / 4, x = corner.x - 1 + place % 4;
      const bool inside = y >= 0 && x >= 0 && y < conv.height && x < conv.width;
      pixels[place] =
          inside ? conv.x + ((corner.image * conv.height + y) * conv.width + x) * conv.channels + channel : space.zeros;
    }
    simd<TransformInput>(static_cast<const float* const*>(pixels), count, space.v + i * kRowV, kPlaceV);
  }
}

// The weights of up to kUnit outputs and kBlockChannels channels.
struct WeightBlock {
  int64_t out0, outs, channel, count;
  int64_t panels() const { return (outs + kPanel - 1) / kPanel; }
};

void transform(DType dtype, const void* weights, float* u, int64_t rows, int64_t panels, const WeightLayout& layout) {
  if (dtype == DType::f16) return simd<TransformWeight<DType::f16>>(weights, u, rows, panels, &layout);
  if (dtype == DType::bf16) return simd<TransformWeight<DType::bf16>>(weights, u, rows, panels, &layout);
  simd<TransformWeight<DType::f32>>(weights, u, rows, panels, &layout);
}

// U of a frozen weight whose panels run along the outputs: read where it lies.
void transformFrozen(const WinogradConv& conv, const WeightBlock& w, Space& space) {
  const PackedMatrix& packed = conv.b.packed;
  const int64_t column = kPanel * dtypeBytes(packed.dtype), panel = packed.cols * column;
  const char* from = static_cast<const char*>(packed.data) + w.out0 / kPanel * panel + w.channel * column;
  transform(packed.dtype, from, space.u, w.count, w.panels(),
            {conv.channels * column, column, panel, kPanel, kBlockChannels * kPanel, kPlaceU});
}

// U of a frozen weight whose panels run along the summed side, as in data gradients: transformed first, then transposed.
// The taps are at equal distances, which may be negative.
void transformFrozenTaps(const WinogradConv& conv, const WeightBlock& w, Space& space) {
  const PackedMatrix& packed = conv.b.packed;
  const Taps& taps = conv.b.taps;
  const int64_t column = kPanel * dtypeBytes(packed.dtype), panel = packed.cols * column, tap = taps.width * column;
  const char* const first = static_cast<const char*>(packed.data) + taps.tap[0] * tap + w.out0 * column;
  for (int64_t out = 0; out < w.outs; out += kPanel) {
    const int64_t outs = std::min(kPanel, w.outs - out);
    for (int64_t c = 0; c < w.count; c += kPackedChannels) {
      const int64_t count = std::min(kPackedChannels, w.count - c);
      transform(packed.dtype, first + (w.channel + c) / kPanel * panel + out * column, space.packed, outs,
                (count + kPanel - 1) / kPanel, {(taps.tap[1] - taps.tap[0]) * tap, column, panel, kRowPacked, kPanel, kPlacePacked});
      for (int64_t place = 0; place < kPlaces; place++)
        packPanels(columnsOf(space.packed + place * kPlacePacked, kRowPacked), 0, outs, 0, count,
                   space.u + place * kPlaceU + (out * kBlockChannels + c * kPanel));
    }
  }
}

// U of a plain weight: packed first, then transformed.
void transformPlain(const WinogradConv& conv, const WeightBlock& w, Space& space) {
  for (int64_t c = 0; c < w.count; c += kPackedChannels) {
    const int64_t count = std::min(kPackedChannels, w.count - c), tap = w.panels() * count * kPanel;
    for (int64_t t = 0; t < 9; t++)
      packPanels(conv.b, w.out0, w.outs, t * conv.channels + w.channel + c, count, space.packed + t * tap);
    constexpr int64_t bytes = sizeof(float);
    transform(DType::f32, space.packed, space.u + c * kPanel, count, w.panels(),
              {tap * bytes, kPanel * bytes, count * kPanel * bytes, kPanel, kBlockChannels * kPanel, kPlaceU});
  }
}

void transformWeights(const WinogradConv& conv, const WeightBlock& w, Space& space) {
  if (!conv.b.packed.data) return transformPlain(conv, w, space);
  if (conv.b.kind == GemmMatrix::Kind::weightTransposed) return transformFrozen(conv, w, space);
  transformFrozenTaps(conv, w, space);
}

// Asks the memory for a part of the block of a frozen weight that comes next: part `step` of `steps`.
class NextWeights {
 public:
  NextWeights(const WinogradConv& conv, const WeightBlock& w, int64_t steps) : steps_(steps) {
    const PackedMatrix& packed = conv.b.packed;
    if (!packed.data || w.count == 0) return;
    const int64_t column = kPanel * dtypeBytes(packed.dtype);
    const bool transposed = conv.b.kind == GemmMatrix::Kind::weightTransposed;
    const int64_t panel = (transposed ? w.out0 : w.channel) / kPanel, first = transposed ? w.channel : w.out0;
    const int64_t panels = ((transposed ? w.outs : w.count) + kPanel - 1) / kPanel;
    from_ = static_cast<const char*>(packed.data) + (panel * packed.cols + first) * column;
    tap_ = packed.cols / 9 * column;
    lines_ = (transposed ? w.count : w.outs) * column / 64;
    total_ = 9 * panels * lines_;
  }
  void ask(int64_t step) const {
    for (int64_t i = total_ * step / steps_; i < total_ * (step + 1) / steps_; i++)
      askFor(from_ + i / lines_ * tap_ + i % lines_ * 64);
  }

 private:
  const char* from_ = nullptr;
  int64_t steps_, tap_ = 0, lines_ = 1, total_ = 0;  // a panel of nine taps follows another: one stride for both
};

// Adds the products of one block of weights to M, and meanwhile asks for the next block.
void multiply(const WinogradConv& conv, const Task& task, const WeightBlock& w, const WeightBlock& next, Space& space) {
  const MicroKernels& kernels = microKernels();
  const RowGroups groups(task.tiles, kernels.maxRows);
  const int64_t panels = w.panels(), calls = (panels + kernels.maxPanels - 1) / kernels.maxPanels * groups.count;
  const NextWeights ahead(conv, next, kPlaces * calls);
  int64_t call = 0;
  for (int64_t place = 0; place < kPlaces; place++) {
    for (int64_t panel = 0; panel < panels; panel += kernels.maxPanels) {
      const int64_t width = std::min<int64_t>(panels - panel, kernels.maxPanels);
      for (int64_t g = 0; g < groups.count; g++) {
        const MicroArgs args = {
            .a = space.v + place * kPlaceV + groups.begin(g) * kRowV,
            .aStride = kRowV,
            .b = space.u + place * kPlaceU + panel * kBlockChannels * kPanel,
            .panelBytes = kBlockChannels * kPanel * int64_t{sizeof(float)},
            .depth = w.count,
            .c = space.m + place * kPlaceM + groups.begin(g) * kRowM + w.out0 - task.out0 + panel * kPanel,
            .cStride = kRowM,
            .columns = static_cast<int>(width * kPanel),
            .accumulate = w.channel > 0,
            .scale = 1,
            .columnScale = nullptr,
            .bias = nullptr,
        };
        ahead.ask(call++);
        kernels.rows[0][groups.height(g) - 1][width - 1](&args);
      }
    }
  }
}

void transformOutputs(const WinogradConv& conv, const Task& task, Space& space) {
  for (int64_t i = 0; i < task.tiles; i++) {
    const Corner corner(conv, task.tile0 + i);
    float* pixels[4];
    for (int64_t p = 0; p < 4; p++) {
      const int64_t y = corner.y + p / 2, x = corner.x + p % 2;
      const bool inside = y < conv.height && x < conv.width;
      pixels[p] = inside ? conv.y + ((corner.image * conv.height + y) * conv.width + x) * conv.outs + task.out0 : space.unwanted;
    }
    const float* bias = conv.bias ? conv.bias + task.out0 : nullptr;
    simd<TransformOutput>(static_cast<const float*>(space.m + i * kRowM), kPlaceM, task.outs, bias,
                          static_cast<float* const*>(pixels));
  }
}

// All channels in blocks of nearly equal size, whole panels each but the last.
int64_t channelsOfBlock(int64_t channels) {
  const int64_t blocks = (channels + kBlockChannels - 1) / kBlockChannels;
  return ((channels + blocks - 1) / blocks + kPanel - 1) / kPanel * kPanel;
}

void runTask(const WinogradConv& conv, const Task& task, const std::atomic<bool>& cancelled, Space& space) {
  std::memset(space.zeros, 0, sizeof space.zeros);
  const int64_t step = channelsOfBlock(conv.channels);
  const auto blockAt = [&](int64_t out, int64_t channel) -> WeightBlock {
    const int64_t count = std::max<int64_t>(0, std::min(step, conv.channels - channel));
    return {task.out0 + out, std::min(kUnit, task.outs - out), channel, count};
  };
  for (int64_t channel = 0; channel < conv.channels; channel += step) {
    transformInputs(conv, task, channel, std::min(step, conv.channels - channel), space);
    for (int64_t out = 0; out < task.outs; out += kUnit) {
      if (cancelled.load(std::memory_order_relaxed)) return;
      const WeightBlock block = blockAt(out, channel);
      transformWeights(conv, block, space);
      multiply(conv, task, block, out + kUnit < task.outs ? blockAt(out + kUnit, channel) : blockAt(0, channel + step), space);
    }
  }
  transformOutputs(conv, task, space);
}

}  // namespace

bool winogradPays(int64_t images, int64_t height, int64_t width, int64_t channels) {
  static const char* const asked = std::getenv("TLORA_WINOGRAD");
  if (asked && std::strcmp(asked, "0") == 0) return false;
  if (asked && std::strcmp(asked, "1") == 0) return true;
  const int64_t tiles = images * ((height + 1) / 2) * ((width + 1) / 2);
  return channels >= 16 && tiles >= 9 && images * height * width >= 3 * tiles;
}

void winograd(Context& context, const WinogradConv& conv) {
  const int64_t tiles = conv.images * ((conv.height + 1) / 2) * ((conv.width + 1) / 2);
  if (tiles == 0 || conv.outs == 0) return;
  const int64_t units = (conv.outs + kUnit - 1) / kUnit, threads = context.pool.threads();
  const int64_t blocks = (tiles + kBlockTiles - 1) / kBlockTiles;
  int64_t groups = (conv.outs + kGroupOuts - 1) / kGroupOuts;
  while (threads > 1 && blocks * groups < 4 * threads && conv.outs / (groups + 1) >= kLeastOuts) groups++;
  while (blocks * groups < threads && groups < units) groups++;
  groups = std::min(groups, units);
  context.pool.run(blocks * groups, [&](int64_t task, int thread) {
    const int64_t block = task % blocks, group = task / blocks;
    const int64_t tile0 = tiles * block / blocks, out0 = units * group / groups * kUnit;
    const int64_t tile1 = tiles * (block + 1) / blocks, out1 = std::min(conv.outs, units * (group + 1) / groups * kUnit);
    runTask(conv, {tile0, tile1 - tile0, out0, out1 - out0}, context.cancelled, *static_cast<Space*>(context.workspace(thread)));
  });
}

}  // namespace tlora
