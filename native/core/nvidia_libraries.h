// NVIDIA's libraries that the CUDA backend needs, opened before it does: from nvidiaRoot, by the system, below CUDA_HOME or CUDA_PATH, or from
// the packages of the python3 on PATH. Once a library is open, whoever needs it by name is satisfied.
#pragma once
#include <string>

#include "backend_library.h"

namespace tlora {

// NVIDIA's library that could not be found, from an error of dlopen like "libcudnn.so.9: cannot open shared object file: …"; else empty.
std::string missingLibrary(const std::string& error);
// The function that NVIDIA's library lacks, from an error like "tlora_cuda.so: undefined symbol: cudnnCreate, version libcudnn.so.9"; else empty.
std::string missingFunction(const std::string& error);
std::string howToInstall(const std::string& library);

// Opens what nvidiaRoot has of the libraries that the backend is linked with, so that these come before the system's.
void openFromRoot(const LibrarySearch& search);
// false: nowhere.
bool provide(const std::string& name, const LibrarySearch& search);

// Behind the backend's file: what cuDNN opens by itself later, and ends the process if it cannot. Empty, or what is missing. lacking: what is
// missing that runs go on without.
std::string missingBehindDnn(const LibrarySearch& search, std::string& lacking);

}  // namespace tlora
