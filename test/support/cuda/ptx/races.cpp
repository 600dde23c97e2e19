#include "races.h"

namespace tlora::ptx {

const char* Races::read(size_t offset, size_t bytes, unsigned thread, uint32_t synced) {
  for (size_t c = offset / 2; c < (offset + bytes + 1) / 2; c++) {
    Cell& cell = cells_[c];
    if (cell.written < blockBegan_) return "a read of shared memory that no thread has written";
    if (cell.pending) return "a read of shared memory that a cp.async is still to bring";
    const bool before = cell.written < barrier_ || cell.writer == thread || (cell.writer / 32 == thread / 32 && cell.written < synced);
    if (!before) return "a race: a read of shared memory that another thread wrote with no barrier between";
    if (cell.read < barrier_) {
      cell.reader = uint16_t(thread);
    } else if (cell.reader != thread && cell.reader != kSeveral) {
      const unsigned warp = cell.reader & kWarp ? cell.reader & ~unsigned{kWarp} : cell.reader / 32u;
      cell.reader = warp == thread / 32 ? uint16_t(kWarp | warp) : kSeveral;
    }
    cell.read = now_;
  }
  return nullptr;
}

const char* Races::write(size_t offset, size_t bytes, unsigned thread, uint32_t synced) {
  for (size_t c = offset / 2; c < (offset + bytes + 1) / 2; c++) {
    Cell& cell = cells_[c];
    if (cell.pending && cell.written >= blockBegan_) return "a write of shared memory that a cp.async is still to bring";
    const bool afterWrite = cell.written < barrier_ || cell.writer == thread || (cell.writer / 32 == thread / 32 && cell.written < synced);
    if (!afterWrite) return "a race: a write of shared memory that another thread wrote with no barrier between";
    const bool sameWarp = cell.reader != kSeveral && (cell.reader & kWarp ? cell.reader & ~unsigned{kWarp} : cell.reader / 32u) == thread / 32;
    const bool afterRead = cell.read < barrier_ || cell.reader == thread || (sameWarp && cell.read < synced);
    if (!afterRead) return "a race: a write of shared memory that another thread read with no barrier between";
    cell.written = now_;
    cell.writer = uint16_t(thread);
    cell.pending = false;
  }
  return nullptr;
}

const char* Races::beginCopy(size_t offset, size_t bytes, unsigned thread, uint32_t synced) {
  if (const char* wrong = write(offset, bytes, thread, synced)) return wrong;
  for (size_t c = offset / 2; c < (offset + bytes + 1) / 2; c++) cells_[c].pending = true;
  return nullptr;
}

void Races::endCopy(size_t offset, size_t bytes, unsigned thread) {
  for (size_t c = offset / 2; c < (offset + bytes + 1) / 2; c++) {
    cells_[c].written = now_;
    cells_[c].writer = uint16_t(thread);
    cells_[c].pending = false;
  }
}

}  // namespace tlora::ptx
