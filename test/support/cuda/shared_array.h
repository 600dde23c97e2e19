// Shared memory as kernels see it in the emulated build: TLORA_SHARED and TLORA_SHARED_DYNAMIC of native/cuda/shared.h.
#pragma once
#include "emulator.h"

namespace tlora::emulated {

// An array, or the part of one that begins at an offset. Every index is checked.
template <class T>
class SharedArray {
 public:
  SharedArray(const void* identity, const char* name, size_t count) : name_(name) {
    const SharedRange range = sharedArray(identity, name, count * sizeof(T));
    data_ = reinterpret_cast<T*>(range.data);
    end_ = int64_t(range.bytes / sizeof(T));
  }
  SharedArray(const char* name, SharedRange range, size_t offset) : name_(name) {
    if (offset > range.bytes || offset % 16 != 0) fault(std::string("shared array ") + name + " begins outside of the launch's bytes");
    data_ = reinterpret_cast<T*>(range.data + offset);
    end_ = int64_t((range.bytes - offset) / sizeof(T));
  }

  T& operator[](int64_t i) const {
    if (i < begin_ || i >= end_) outside(i);
    return data_[i];
  }
  T& operator*() const { return (*this)[0]; }
  SharedArray operator+(int64_t offset) const {
    SharedArray part = *this;
    part.data_ += offset;
    part.begin_ -= offset;
    part.end_ -= offset;
    return part;
  }
  // `count` elements from i on, as a pointer.
  T* span(int64_t i, int64_t count) const {
    if (i < begin_ || i + count > end_) outside(i < begin_ ? i : i + count - 1);
    return data_ + i;
  }

 private:
  [[noreturn]] void outside(int64_t i) const {
    fault(std::string("shared array ") + name_ + " has " + std::to_string(end_ - begin_) + " elements: index " +
          std::to_string(i - begin_) + " is out of bounds");
  }
  const char* name_;
  T* data_;
  int64_t begin_ = 0, end_;
};

template <class T>
SharedArray<T> dynamicShared(const char* name, size_t offset) {
  return SharedArray<T>(name, dynamicSharedBytes(), offset);
}

}  // namespace tlora::emulated
