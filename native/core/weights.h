#pragma once
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "device.h"
#include "tensor.h"

namespace tlora {

// Rows that lie together in a file.
struct WeightRows {
  std::string path;
  uint64_t offset = 0;  // first byte of their elements
  int64_t rows = 0;
};

// One tensor of a checkpoint, or several of one type below each other, and how to keep it.
struct WeightSource {
  std::string name;
  std::string path;     // file; empty for a tensor that is given in memory
  uint64_t offset = 0;  // first byte of its elements in the file
  DType dtype = DType::f32;
  std::vector<int64_t> shape;     // as it lies in the source, with the rows of `below`
  std::vector<WeightRows> below;  // tensors of the same type whose rows (entries of the first size) follow
  bool oihw = false;           // a convolution weight [o, i, kh, kw], kept as [o, kh, kw, i]
  bool transposed = false;     // the source holds the transpose of the matrix of `shape`
  bool matrix = false;         // packed for GEMM (tensor.h); else plain
  bool keep = false;           // plain, but in its stored type instead of float32
  std::optional<DType> as;     // rounded to this type, matrix or plain; else a matrix keeps its stored type
};

// Where a weight lies: in a block that it may share with others, which lives as long as one of them.
struct Room {
  std::shared_ptr<Block> block;
  size_t offset = 0, bytes = 0;
  char* data() const { return block->data() + offset; }
};

struct Weight {
  Tensor tensor;  // sizes as kept; data or packed
  PackedMatrix packed;
  Room room;
  bool converted = false;  // to the type that `as` asked for
};

// Bytes of source read so far and in all, for progress from another thread.
struct LoadProgress {
  std::atomic<size_t> done{0}, total{0};
};

// Frozen weights by name, each held once, in the form in which kernels read it.
class WeightStore {
 public:
  WeightStore(Device& device, ThreadPool& pool) : device_(device), pool_(pool) {}

  // Maps the files and takes the tensors one after the other (each with all threads), giving the pages of a tensor back
  // once it is packed. A name that is already there is replaced. Stops with kCancelled when the flag is up.
  void load(const std::vector<WeightSource>& sources, const std::atomic<bool>& cancelled, LoadProgress& progress);
  // On a device with memory of its own: allocates it for weights that are loaded or added next, in slabs of many weights of one component (what
  // comes before the first slash of a name), 256-byte aligned; for drivers round every allocation up, large ones to 2 MiB. load() does so itself.
  void reserve(const std::vector<WeightSource>& sources);
  // Takes one tensor from memory; `bytes` must be what its type and shape need.
  void add(const WeightSource& source, const void* data, size_t bytes);
  const Weight* find(const std::string& name) const;
  // Frees every weight whose name starts with `prefix`, and the slabs that then hold none; returns how many.
  size_t release(const std::string& prefix);

 private:
  void take(const WeightSource& source, const void* data);
  size_t keptBytes(const WeightSource& source) const;
  Room roomFor(const WeightSource& source);

  Device& device_;
  ThreadPool& pool_;
  std::unordered_map<std::string, std::unique_ptr<Weight>> weights_;
  std::unordered_map<std::string, Room> reserved_;  // not taken yet
};

}  // namespace tlora
