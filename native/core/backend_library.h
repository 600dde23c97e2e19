// Opening the CUDA backend, a library of its own (tlora_cuda.so), at run time: the addon works on machines without it.
#pragma once
#include <string>

#include "backend.h"

namespace tlora {

// Where to look. Empty texts: nowhere in particular.
struct LibrarySearch {
  std::string folder;      // holds tlora_cuda.so, if it was built
  std::string library;     // this file instead, driver or not (TLORA_CUDA_LIBRARY)
  std::string nvidiaRoot;  // folder nvidia/ of Python wheels, first of all places (TLORA_NVIDIA_ROOT)
};

// The backend with at least one device, or nullptr and one line that says what is missing. The driver is asked for first, so that
// a machine without one never loads NVIDIA's libraries (nvidia_libraries.h). A library stays open once it was opened. lacking: one line
// on what is missing though devices can be used, or nothing.
const Backend* openCudaBackend(const LibrarySearch& search, std::string& reason, std::string& lacking);

struct DeviceName {
  bool cuda = false;
  int index = 0;
};
// `cpu`, `cuda` (the first) or `cuda:N`; Error (kDevice) for anything else.
DeviceName parseDevice(const std::string& text);

}  // namespace tlora
