#include "access_checks.h"
#include "block.h"
#include "emulator.h"

namespace tlora::emulated {

namespace {

void runKernel(dim3 grid, dim3 block, size_t sharedBytes, const std::function<void()>& body) {
  beginLaunch();
  for (unsigned z = 0; z < grid.z; z++) {
    for (unsigned y = 0; y < grid.y; y++) {
      for (unsigned x = 0; x < grid.x; x++) {
        beginBlock();
        thisBlock().run({x, y, z}, block, grid, sharedBytes, body);
      }
    }
  }
}

}  // namespace

cudaError_t launch(Stream* stream, dim3 grid, dim3 block, size_t sharedBytes, std::function<void()> body) {
  enqueue(stream, [=, body = std::move(body)] { runKernel(grid, block, sharedBytes, body); });
  return cudaGetLastError();
}

}  // namespace tlora::emulated
