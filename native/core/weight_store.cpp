#include <algorithm>
#include <bit>
#include <string_view>

#include "half.h"
#include "host_memory.h"
#include "mapped_file.h"
#include "weights.h"

namespace tlora {
namespace {

// A weight as the matrix [rows, taps · channels] that is kept. In the source, element (row, tap, channel) lies at
// row · cols + channel · taps + tap (taps = kh · kw; 1 for everything that is not a convolution weight in OIHW), or, transposed, at
// channel · rows + row.
struct MatrixShape {
  int64_t rows, taps, channels;
  bool transposed = false;
  int64_t cols() const { return taps * channels; }
  int64_t rowStep() const { return transposed ? 1 : cols(); }
  int64_t channelStep() const { return transposed ? rows : taps; }
};

int64_t sizeOf(const WeightSource& s) {
  if (s.shape.size() > kMaxRank) fail(kFileFormat, "weight %s: %zu sizes are too many", s.name.c_str(), s.shape.size());
  int64_t n = 1;
  for (const int64_t d : s.shape) {
    if (d < 1 || n > (int64_t{1} << 40) / d) fail(kFileFormat, "weight %s: size %lld is out of range", s.name.c_str(), (long long)d);
    n *= d;
  }
  return n;
}

// Where all rows of a weight lie, in their order.
std::vector<WeightRows> rowsOf(const WeightSource& s) {
  std::vector<WeightRows> all{{s.path, s.offset, s.shape.empty() ? 1 : s.shape[0]}};
  for (const WeightRows& more : s.below) {
    if (more.rows < 1 || more.rows >= all[0].rows) {
      fail(kFileFormat, "weight %s: %lld rows below others do not fit its shape", s.name.c_str(), (long long)more.rows);
    }
    all[0].rows -= more.rows;
    all.push_back(more);
  }
  return all;
}

size_t sourceBytes(const WeightSource& s) { return static_cast<size_t>(sizeOf(s)) * dtypeBytes(s.dtype); }

MatrixShape matrixShape(const WeightSource& s) {
  if (s.oihw) {
    if (s.shape.size() != 4) {
      fail(kFileFormat, "weight %s: a convolution weight has 4 sizes, got %zu", s.name.c_str(), s.shape.size());
    }
    return {s.shape[0], s.shape[2] * s.shape[3], s.shape[1]};
  }
  if (s.transposed && (s.shape.size() != 2 || !s.below.empty())) {
    fail(kFileFormat, "weight %s: a transposed weight is one matrix, got %zu sizes", s.name.c_str(), s.shape.size());
  }
  const int64_t rows = s.shape.size() > 1 || s.matrix ? s.shape.at(0) : 1;
  return {rows, 1, sizeOf(s) / rows, s.transposed};
}

// Panels of `panel` rows (tensor.h), one task each; panels of one row are the matrix row by row. `element(i)` gives what is kept
// of element i of the source.
template <class To, class Element>
void arrange(ThreadPool& pool, const MatrixShape& m, int64_t panel, void* to, const Element& element) {
  const int64_t cols = m.cols(), rowStep = m.rowStep(), channelStep = m.channelStep();
  pool.run((m.rows + panel - 1) / panel, [&](int64_t task, int) {
    const int64_t first = task * panel, rows = std::min(panel, m.rows - first);
    To* out = static_cast<To*>(to) + task * cols * panel;
    for (int64_t c = 0; c < m.channels; c++) {
      for (int64_t tap = 0; tap < m.taps; tap++) {
        To* kept = out + (tap * m.channels + c) * panel;
        for (int64_t r = 0; r < rows; r++) kept[r] = element((first + r) * rowStep + c * channelStep + tap);
      }
    }
  });
}

// The same, rounded from float32 values to the type that is kept.
template <class Read>
void arrangeRounded(ThreadPool& pool, const MatrixShape& m, int64_t panel, DType kept, void* to, const Read& read) {
  if (kept == DType::f32) return arrange<float>(pool, m, panel, to, read);
  if (kept == DType::bf16) return arrange<uint16_t>(pool, m, panel, to, [&](int64_t i) { return f32ToBf16(read(i)); });
  arrange<uint16_t>(pool, m, panel, to, [&](int64_t i) { return f32ToF16(read(i)); });
}

void arrangeAs(ThreadPool& pool, const void* from, DType stored, const MatrixShape& m, int64_t panel, DType kept, void* to) {
  const auto* halves = static_cast<const uint16_t*>(from);
  const auto* words = static_cast<const uint32_t*>(from);
  if (kept == stored && dtypeBytes(stored) == 2) return arrange<uint16_t>(pool, m, panel, to, [=](int64_t i) { return halves[i]; });
  if (kept == stored) return arrange<uint32_t>(pool, m, panel, to, [=](int64_t i) { return words[i]; });
  if (stored == DType::f16) return arrangeRounded(pool, m, panel, kept, to, [=](int64_t i) { return f16ToF32(halves[i]); });
  if (stored == DType::bf16) return arrangeRounded(pool, m, panel, kept, to, [=](int64_t i) { return bf16ToF32(halves[i]); });
  arrangeRounded(pool, m, panel, kept, to, [=](int64_t i) { return std::bit_cast<float>(words[i]); });
}

DType keptType(const WeightSource& s) {
  if (s.dtype == DType::i32) return DType::i32;
  if (s.as) return *s.as;
  return s.matrix || s.keep ? s.dtype : DType::f32;
}

Tensor keptTensor(const WeightSource& s, DType dtype) {
  Tensor t;
  t.dtype = dtype;
  t.rank = static_cast<int>(s.shape.size());
  static constexpr int kOihwOrder[] = {0, 2, 3, 1};
  for (int i = 0; i < t.rank; i++) t.dims[i] = s.shape[s.oihw ? kOihwOrder[i] : i];
  return t;
}

// Where the host writes what a room shall hold: there, or in host memory that is copied when the device has its own.
class Staging {
 public:
  Staging(Device& device, const Room& room) : room_(room), host_(device.backend.hostVisible ? nullptr : allocateHost(room.bytes)) {
    if (!device.backend.hostVisible && !host_) fail(kOutOfMemory, "not enough memory: %zu bytes needed", room.bytes);
  }
  ~Staging() { releaseHost(host_, room_.bytes); }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  void* data() const { return host_ ? host_ : room_.data(); }
  void finish() {
    if (host_) room_.block->write(room_.offset, host_, room_.bytes);
  }

 private:
  const Room& room_;
  void* host_;
};

void expectInFile(const WeightSource& s, const WeightRows& rows, size_t bytes, const MappedFile& file) {
  if (rows.offset > file.bytes() || bytes > file.bytes() - rows.offset) {
    fail(kFileFormat, "%s: weight %s: %zu bytes at %llu, but the file has only %zu", rows.path.c_str(), s.name.c_str(), bytes,
         (unsigned long long)rows.offset, file.bytes());
  }
}

// Safetensors files of early writers have headers of any length, so that elements may begin anywhere.
bool isAligned(const WeightSource& s, const WeightRows& rows) { return rows.offset % dtypeBytes(s.dtype) == 0; }

constexpr size_t kSlabBytes = size_t{256} << 20;  // at most, but for a weight that is larger

// lib/plan/target.ts counts it, too.
constexpr size_t kAlignment = 256;
size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

std::string_view componentOf(const WeightSource& s) { return std::string_view(s.name).substr(0, s.name.find('/') + 1); }

}  // namespace

size_t WeightStore::keptBytes(const WeightSource& s) const {
  const MatrixShape m = matrixShape(s);
  const int64_t panel = s.matrix ? device_.backend.panel : 1;
  const int64_t rows = (m.rows + panel - 1) / panel * panel;
  return static_cast<size_t>(rows * m.cols()) * dtypeBytes(keptType(s));
}

void WeightStore::reserve(const std::vector<WeightSource>& sources) {
  reserved_.clear();
  if (device_.backend.hostVisible) return;
  size_t all = 0;
  for (const WeightSource& s : sources) all += aligned(keptBytes(s));
  std::unordered_map<std::string, Room> rooms;
  for (size_t first = 0, end = 0; first < sources.size(); first = end) {
    size_t bytes = 0;
    do {
      bytes += aligned(keptBytes(sources[end++]));
    } while (end < sources.size() && componentOf(sources[end]) == componentOf(sources[first]) &&
             bytes + aligned(keptBytes(sources[end])) <= kSlabBytes);
    const std::string what = "weights of " + std::to_string(all) + " bytes in all, " + std::to_string(end - first) + " of them from " +
                             sources[first].name + " on";
    const auto block = std::make_shared<Block>(device_, Use::weights, bytes, what.c_str());
    size_t offset = 0;
    for (size_t i = first; i < end; i++) {
      const size_t size = keptBytes(sources[i]);
      rooms[sources[i].name] = {block, offset, size};
      offset += aligned(size);
    }
  }
  reserved_ = std::move(rooms);
}

// What was reserved for it, or a block of its own.
Room WeightStore::roomFor(const WeightSource& s) {
  const size_t bytes = keptBytes(s);
  const auto found = reserved_.find(s.name);
  if (found == reserved_.end() || found->second.bytes != bytes) {
    return {std::make_shared<Block>(device_, Use::weights, bytes, ("weight " + s.name).c_str()), 0, bytes};
  }
  Room room = std::move(found->second);
  reserved_.erase(found);
  return room;
}

void WeightStore::take(const WeightSource& s, const void* data) {
  const MatrixShape m = matrixShape(s);
  const DType dtype = keptType(s);
  const int64_t panel = s.matrix ? device_.backend.panel : 1;
  weights_.erase(s.name);
  auto weight = std::make_unique<Weight>();
  weight->room = roomFor(s);
  Staging staging(device_, weight->room);
  arrangeAs(pool_, data, s.dtype, m, panel, dtype, staging.data());
  staging.finish();
  weight->tensor = keptTensor(s, dtype);
  weight->converted = s.as.has_value();
  if (s.matrix) {
    weight->packed = {weight->room.data(), dtype, m.rows, m.cols()};
    weight->tensor.packed = &weight->packed;
  } else {
    weight->tensor.data = weight->room.data();
  }
  weights_[s.name] = std::move(weight);
}

void WeightStore::load(const std::vector<WeightSource>& sources, const std::atomic<bool>& cancelled, LoadProgress& progress) {
  progress.done = 0;
  size_t total = 0;
  for (const WeightSource& s : sources) total += sourceBytes(s);
  progress.total = total;
  reserve(sources);
  struct Forget {
    std::unordered_map<std::string, Room>& rooms;
    ~Forget() { rooms.clear(); }
  } forget{reserved_};  // of weights that were not reached
  std::unordered_map<std::string, std::unique_ptr<MappedFile>> files;
  const auto mapped = [&](const std::string& path) -> const MappedFile& {
    std::unique_ptr<MappedFile>& file = files[path];
    if (!file) file = std::make_unique<MappedFile>(path);
    return *file;
  };
  for (const WeightSource& s : sources) {
    const std::vector<WeightRows> parts = rowsOf(s);
    const size_t bytes = sourceBytes(s);
    const bool copied = parts.size() > 1 || !isAligned(s, parts[0]);
    std::vector<char> joined;
    if (copied) joined.reserve(bytes);
    for (const WeightRows& part : parts) {
      const MappedFile& file = mapped(part.path);
      const size_t partBytes = parts.size() == 1 ? bytes : bytes / size_t(s.shape[0]) * size_t(part.rows);
      expectInFile(s, part, partBytes, file);
      const char* data = file.data() + part.offset;
      file.prefetch(part.offset, partBytes);
      if (copied) joined.insert(joined.end(), data, data + partBytes);
      if (&part == &parts.back() && !cancelled) take(s, copied ? joined.data() : data);
      file.release(part.offset, partBytes);
    }
    if (cancelled) {
      weights_.erase(s.name);  // perhaps packed only in part
      throw Error(kCancelled, "loading weights was cancelled");
    }
    progress.done += bytes;
  }
}

void WeightStore::add(const WeightSource& s, const void* data, size_t bytes) {
  if (bytes != sourceBytes(s)) fail(kNative, "weight %s: expected %zu bytes, got %zu", s.name.c_str(), sourceBytes(s), bytes);
  take(s, data);
}

const Weight* WeightStore::find(const std::string& name) const {
  const auto found = weights_.find(name);
  return found == weights_.end() ? nullptr : found->second.get();
}

size_t WeightStore::release(const std::string& prefix) {
  std::erase_if(reserved_, [&](const auto& entry) { return entry.first.starts_with(prefix); });
  return std::erase_if(weights_, [&](const auto& entry) { return entry.first.starts_with(prefix); });
}

}  // namespace tlora
