#include "backend_library.h"

#include <dlfcn.h>
#include <unistd.h>

#include <charconv>
#include <mutex>

#include "error.h"
#include "nvidia_libraries.h"

namespace tlora {
namespace {

bool opens(const std::string& path) { return dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr; }

// Opens the backend's file, and before it, one by one, the libraries that the system's loader does not find.
void* openFile(const std::string& path, const LibrarySearch& search, std::string& reason, std::string& lacking) {
  openFromRoot(search);
  std::string before;
  for (;;) {
    if (void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
      const std::string missing = missingBehindDnn(search, lacking);
      if (missing.empty()) return handle;
      reason = "the CUDA backend is there, but " + missing;
      return nullptr;
    }
    const std::string error = dlerror(), missing = missingLibrary(error);
    if (missing.empty()) {
      const std::string function = missingFunction(error);
      reason = function.empty() ? "the CUDA backend cannot be opened: " + error
                                : "the CUDA backend is there, but the " + std::string(function.starts_with("cudnn") ? "cuDNN" : "cuBLASLt") +
                                      " that was found has no " + function + ", so it is older than the one of the build: update it, or build tlora anew";
      return nullptr;
    }
    if (missing == before || !provide(missing, search)) {
      reason = "the CUDA backend is there, but " + missing + " is missing: " + howToInstall(missing);
      return nullptr;
    }
    before = missing;
  }
}

const Backend* tableOf(void* handle, const std::string& path, std::string& reason) {
  const auto get = reinterpret_cast<BackendGet>(dlsym(handle, "tlora_backend_get"));
  if (!get) {
    reason = path + " is not a backend of tlora";
    return nullptr;
  }
  const Backend* table = get(kBackendAbi);
  if (!table || table->abi != kBackendAbi) {
    reason = path + " was built for another version of tlora; build both again: npx tlora build";
    return nullptr;
  }
  return table;
}

}  // namespace

const Backend* openCudaBackend(const LibrarySearch& search, std::string& reason, std::string& lacking) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  const std::string path = search.library.empty() ? search.folder + "/tlora_cuda.so" : search.library;
  if (search.library.empty() && !opens("libcuda.so.1")) {
    reason = "no NVIDIA driver was found (libcuda.so.1)";
    return nullptr;
  }
  if (access(path.c_str(), R_OK) != 0) {
    reason = search.library.empty() ? "an NVIDIA driver is there, but tlora was built without CUDA: TLORA_BUILD=cuda npx tlora build"
                                    : "TLORA_CUDA_LIBRARY names " + path + ", which cannot be read";
    return nullptr;
  }
  void* handle = openFile(path, search, reason, lacking);
  const Backend* table = handle ? tableOf(handle, path, reason) : nullptr;
  if (!table) return nullptr;
  Reason none;
  if (table->devices(none) > 0) return table;
  reason = std::string("no CUDA device can be used: ") + none.text;
  return nullptr;
}

DeviceName parseDevice(const std::string& text) {
  if (text == "cpu") return {};
  if (text == "cuda") return {true, 0};
  int index = -1;
  const char* end = text.data() + text.size();
  if (text.starts_with("cuda:") && text.size() <= 8 && std::from_chars(text.data() + 5, end, index).ptr == end && index >= 0) {
    return {true, index};
  }
  fail(kDevice, "device: expected cpu, cuda or cuda:N, got %s", text.c_str());
}

}  // namespace tlora
