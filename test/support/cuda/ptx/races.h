// Who touched which two bytes of a block's shared memory, and when. Time goes on with every barrier and every block, so that older
// accesses need no clearing. An access is a race if another thread touched the same bytes, one of the two writing, and no barrier that
// both passed lies between. Bytes that a cp.async is to bring belong to it until the thread has waited for it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tlora::ptx {

class Races {
 public:
  explicit Races(size_t bytes) : cells_((bytes + 1) / 2) {}
  void beginBlock() { blockBegan_ = barrier_ = ++now_; }
  void passBarrier() { barrier_ = ++now_; }
  uint32_t passWarp() { return ++now_; }

  // `synced`: the time of the warp's last own barrier. What is wrong, or nullptr.
  const char* read(size_t offset, size_t bytes, unsigned thread, uint32_t synced);
  const char* write(size_t offset, size_t bytes, unsigned thread, uint32_t synced);
  const char* beginCopy(size_t offset, size_t bytes, unsigned thread, uint32_t synced);
  void endCopy(size_t offset, size_t bytes, unsigned thread);

 private:
  struct Cell {
    uint32_t written = 0, read = 0;  // when
    uint16_t writer = 0, reader = 0;  // threads; readers may be a warp or several
    bool pending = false;
  };
  static constexpr uint16_t kWarp = 0x4000, kSeveral = 0x8000;

  std::vector<Cell> cells_;
  uint32_t now_ = 0, blockBegan_ = 0, barrier_ = 0;
};

}  // namespace tlora::ptx
