// An opened backend, and blocks of its memory.
#pragma once
#include <string>
#include <utility>

#include "backend.h"
#include "error.h"
#include "memory_meter.h"

namespace tlora {

struct Device {
  Device(const Backend& table, const Host& host, const DeviceOptions& options)
      : backend(table), name(table.hostVisible ? table.name : std::string(table.name) + ':' + std::to_string(options.index)) {
    Reason reason;
    DeviceFacts facts;
    if (!backend.describe(options.index, facts, reason)) fail(kDevice, "%s: %s", name.c_str(), reason.text);
    self = backend.open(host, options, reason);
    if (!self) fail(kDevice, "%s: %s", name.c_str(), reason.text);
    meter.add(Use::workspace, facts.workspaceBytes + (backend.hostVisible ? 0 : options.attentionBytes));
  }
  // Gives back what the backend itself holds. All blocks must be gone; afterwards only close() and freeBytes() may be called.
  void close() {
    if (self) backend.close(self);
    self = nullptr;
    meter.remove(Use::workspace, meter.bytes(Use::workspace));
  }
  ~Device() { close(); }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  size_t freeBytes() const { return self ? backend.freeBytes(self) : 0; }
  void write(void* to, const void* from, size_t bytes) const {
    if (bytes > 0 && !backend.write(self, to, from, bytes)) fail(kDevice, "copy to the device failed");
  }
  void read(void* to, const void* from, size_t bytes) const {
    if (bytes > 0 && !backend.read(self, to, from, bytes)) fail(kDevice, "copy from the device failed");
  }

  const Backend& backend;
  const std::string name;  // cpu, cuda:0
  void* self = nullptr;
  MemoryMeter meter;
};

// Zeroed device memory; empty until allocated. The device must outlive it.
class Block {
 public:
  Block() = default;
  // `what` names the memory in the error when there is not enough.
  Block(Device& device, Use use, size_t bytes, const char* what) : device_(&device), use_(use), bytes_(bytes) {
    data_ = device.backend.allocate(device.self, bytes);
    if (!data_) {
      fail(kOutOfMemory, "%s: not enough memory for %s: %zu bytes needed, %zu free", device.name.c_str(), what, bytes,
           device.freeBytes());
    }
    device.meter.add(use, bytes);
  }
  Block(Block&& other) noexcept { swap(other); }
  Block& operator=(Block&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Block() {
    if (!data_) return;
    device_->backend.release(device_->self, data_, bytes_);
    device_->meter.remove(use_, bytes_);
  }

  char* data() const { return static_cast<char*>(data_); }
  size_t bytes() const { return bytes_; }

  void write(size_t offset, const void* from, size_t bytes) {
    if (bytes > 0) device_->write(data() + offset, from, bytes);
  }
  void read(size_t offset, void* to, size_t bytes) const {
    if (bytes > 0) device_->read(to, data() + offset, bytes);
  }

 private:
  void swap(Block& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(use_, other.use_);
  }
  Device* device_ = nullptr;
  void* data_ = nullptr;
  Use use_ = Use::io;
  size_t bytes_ = 0;
};

}  // namespace tlora
