// Weights and biases as a product's operands: in its type. In a run they are loaded so, and these functions only give the pointer; what is
// not (a float32 bias beside 16-bit pictures, a test's weight) is converted behind the libraries' workspace.
#pragma once
#include "convert.h"
#include "libraries.h"

namespace tlora::cuda {

class Operands {
 public:
  Operands(Context& context, DType dtype) : context_(context), dtype_(dtype) {}

  // A frozen weight is read as a matrix; its data is row-major on this device.
  const void* matrix(const Tensor& w) { return w.packed ? inType(w.packed->data, w.packed->dtype, w.size()) : inType(w.data, w.dtype, w.size()); }
  // nullptr where it is absent.
  const void* vector(const Tensor& b) { return b.data ? inType(b.data, b.dtype, b.size()) : nullptr; }

 private:
  const void* inType(const void* data, DType dtype, int64_t count) {
    if (dtype == dtype_) return data;
    const size_t at = used_;
    used_ += (size_t(count) * dtypeBytes(dtype_) + 255) / 256 * 256;
    char* room = static_cast<char*>(opWorkspace(context_, used_));
    if (!room) fail(kDevice, "the workspace is too small to convert %lld elements of a weight; load the weight in the type of the inputs", (long long)count);
    convert(context_, data, dtype, room + at, dtype_, count);
    return room + at;
  }

  Context& context_;
  DType dtype_;
  size_t used_ = 0;
};

}  // namespace tlora::cuda
