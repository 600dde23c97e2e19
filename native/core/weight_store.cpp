#include <cstring>

#include "half.h"
#include "host_memory.h"
#include "mapped_file.h"
#include "weights.h"

namespace tlora {
namespace {

// A weight as the matrix [rows, taps · channels] that is kept. In the source, element (row, tap, channel) lies at
// row · cols + channel · taps + tap (taps = kh · kw; 1 for everything that is not a convolution weight in OIHW).
struct MatrixShape {
  int64_t rows, taps, channels;
  int64_t cols() const { return taps * channels; }
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

size_t sourceBytes(const WeightSource& s) { return static_cast<size_t>(sizeOf(s)) * dtypeBytes(s.dtype); }

MatrixShape matrixShape(const WeightSource& s) {
  if (s.oihw) {
    if (s.shape.size() != 4) {
      fail(kFileFormat, "weight %s: a convolution weight has 4 sizes, got %zu", s.name.c_str(), s.shape.size());
    }
    return {s.shape[0], s.shape[2] * s.shape[3], s.shape[1]};
  }
  const int64_t rows = s.shape.size() > 1 || s.matrix ? s.shape.at(0) : 1;
  return {rows, 1, sizeOf(s) / rows};
}

// Panels of kPanel rows (tensor.h), one task each. `T` is an integer as wide as an element: packing never converts.
template <class T>
void packPanels(ThreadPool& pool, const T* from, const MatrixShape& m, int64_t panel, T* to) {
  const int64_t cols = m.cols();
  pool.run((m.rows + panel - 1) / panel, [&](int64_t task, int) {
    const int64_t first = task * panel, rows = std::min(panel, m.rows - first);
    const T* in = from + first * cols;
    T* out = to + task * cols * panel;
    for (int64_t c = 0; c < m.channels; c++) {
      for (int64_t tap = 0; tap < m.taps; tap++) {
        T* kept = out + (tap * m.channels + c) * panel;
        for (int64_t r = 0; r < rows; r++) kept[r] = in[r * cols + c * m.taps + tap];
      }
    }
  });
}

// Plain row-major copy, widened to float32 unless the stored type is kept.
void copyPlain(ThreadPool& pool, const void* from, const MatrixShape& m, DType dtype, bool widen, void* to) {
  const int64_t cols = m.cols();
  pool.run(m.rows, [&](int64_t row, int) {
    for (int64_t tap = 0; tap < m.taps; tap++) {
      for (int64_t c = 0; c < m.channels; c++) {
        const int64_t source = row * cols + c * m.taps + tap, kept = row * cols + tap * m.channels + c;
        if (widen) {
          static_cast<float*>(to)[kept] = floatAt(from, dtype, source);
        } else if (dtypeBytes(dtype) == 2) {
          static_cast<uint16_t*>(to)[kept] = static_cast<const uint16_t*>(from)[source];
        } else {
          static_cast<uint32_t*>(to)[kept] = static_cast<const uint32_t*>(from)[source];
        }
      }
    }
  });
}

Tensor keptTensor(const WeightSource& s, DType dtype) {
  Tensor t;
  t.dtype = dtype;
  t.rank = static_cast<int>(s.shape.size());
  static constexpr int kOihwOrder[] = {0, 2, 3, 1};
  for (int i = 0; i < t.rank; i++) t.dims[i] = s.shape[s.oihw ? kOihwOrder[i] : i];
  return t;
}

// Where the host writes what a block shall hold: the block itself, or host memory that is copied when the device has its own.
class Staging {
 public:
  Staging(Device& device, Block& block) : block_(block), host_(device.backend.hostVisible ? nullptr : allocateHost(block.bytes())) {
    if (!device.backend.hostVisible && !host_) fail(kOutOfMemory, "not enough memory: %zu bytes needed", block.bytes());
  }
  ~Staging() { releaseHost(host_, block_.bytes()); }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  void* data() const { return host_ ? host_ : block_.data(); }
  void finish() {
    if (host_) block_.write(0, host_, block_.bytes());
  }

 private:
  Block& block_;
  void* host_;
};

// Host memory for the length of a block.
class HostMemory {
 public:
  explicit HostMemory(size_t bytes) : bytes_(bytes), data_(allocateHost(bytes)) {
    if (!data_) fail(kOutOfMemory, "not enough memory: %zu bytes needed", bytes);
  }
  ~HostMemory() { releaseHost(data_, bytes_); }
  HostMemory(const HostMemory&) = delete;
  HostMemory& operator=(const HostMemory&) = delete;
  void* data() const { return data_; }

 private:
  size_t bytes_;
  void* data_;
};

constexpr int64_t kConvertChunk = 1 << 16;

void convert(ThreadPool& pool, const void* from, DType fromType, int64_t count, void* to, DType toType) {
  pool.run((count + kConvertChunk - 1) / kConvertChunk, [&](int64_t task, int) {
    const int64_t end = std::min(count, (task + 1) * kConvertChunk);
    for (int64_t i = task * kConvertChunk; i < end; i++) putFloat(to, toType, i, floatAt(from, fromType, i));
  });
}

}  // namespace

void WeightStore::take(const WeightSource& s, const void* data) {
  if (s.as && *s.as != s.dtype) {
    WeightSource converted = s;
    converted.dtype = *s.as;
    const HostMemory memory(sourceBytes(converted));
    convert(pool_, data, s.dtype, sizeOf(s), memory.data(), *s.as);
    takeStored(converted, memory.data());
  } else {
    takeStored(s, data);
  }
}

// The elements have the type that is kept, or are widened.
void WeightStore::takeStored(const WeightSource& s, const void* data) {
  const MatrixShape m = matrixShape(s);
  const bool widen = !s.as && !s.matrix && !s.keep && s.dtype != DType::f32 && s.dtype != DType::i32;
  const DType dtype = widen ? DType::f32 : s.dtype;
  const int64_t panel = device_.backend.panel;
  const int64_t rows = s.matrix ? (m.rows + panel - 1) / panel * panel : m.rows;
  const size_t bytes = static_cast<size_t>(rows * m.cols()) * dtypeBytes(dtype);
  weights_.erase(s.name);
  auto weight = std::make_unique<Weight>();
  weight->memory = Block(device_, Use::weights, bytes, ("weight " + s.name).c_str());
  Staging staging(device_, weight->memory);
  if (s.matrix && dtypeBytes(dtype) == 2) {
    packPanels(pool_, static_cast<const uint16_t*>(data), m, panel, static_cast<uint16_t*>(staging.data()));
  } else if (s.matrix) {
    packPanels(pool_, static_cast<const uint32_t*>(data), m, panel, static_cast<uint32_t*>(staging.data()));
  } else {
    copyPlain(pool_, data, m, s.dtype, widen, staging.data());
  }
  staging.finish();
  weight->tensor = keptTensor(s, dtype);
  if (s.matrix) {
    weight->packed = {weight->memory.data(), dtype, m.rows, m.cols()};
    weight->tensor.packed = &weight->packed;
  } else {
    weight->tensor.data = weight->memory.data();
  }
  weights_[s.name] = std::move(weight);
}

void WeightStore::load(const std::vector<WeightSource>& sources, const std::atomic<bool>& cancelled, LoadProgress& progress) {
  progress.done = 0;
  size_t total = 0;
  for (const WeightSource& s : sources) total += sourceBytes(s);
  progress.total = total;
  std::unordered_map<std::string, std::unique_ptr<MappedFile>> files;
  for (size_t i = 0; i < sources.size(); i++) {
    const WeightSource& s = sources[i];
    std::unique_ptr<MappedFile>& file = files[s.path];
    if (!file) file = std::make_unique<MappedFile>(s.path);
    const size_t bytes = sourceBytes(s);
    if (s.offset > file->bytes() || bytes > file->bytes() - s.offset) {
      fail(kFileFormat, "%s: weight %s: %zu bytes at %llu, but the file has only %zu", s.path.c_str(), s.name.c_str(), bytes,
           (unsigned long long)s.offset, file->bytes());
    }
    if (s.offset % dtypeBytes(s.dtype) != 0) {
      fail(kFileFormat, "%s: weight %s: offset %llu is not aligned", s.path.c_str(), s.name.c_str(), (unsigned long long)s.offset);
    }
    file->prefetch(s.offset, bytes);
    if (!cancelled) take(s, file->data() + s.offset);
    file->release(s.offset, bytes);
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
  return std::erase_if(weights_, [&](const auto& entry) { return entry.first.starts_with(prefix); });
}

}  // namespace tlora
