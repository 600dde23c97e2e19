#include "backend_library.h"

#include <dlfcn.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "error.h"

namespace tlora {
namespace {

bool opens(const std::string& path) { return dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr; }

// NVIDIA's library that could not be found, from an error like "libcudnn.so.9: cannot open shared object file: …"; else empty.
std::string missingLibrary(const std::string& error) {
  const size_t end = error.find(": cannot open shared object file");
  if (end == std::string::npos) return "";
  const std::string name = error.substr(0, end);
  return name.starts_with("libcublas") || name.starts_with("libcudnn") || name.starts_with("libnvrtc") ? name : "";
}

// The folder nvidia/ of the packages of the python3 on PATH, or empty; asked once.
const std::string& pythonsRoot() {
  static const std::string root = [] {
    std::string line;
    FILE* python = popen("python3 -c 'import nvidia; print(list(nvidia.__path__)[0])' 2>/dev/null", "re");
    if (!python) return line;
    char text[4096];
    if (fgets(text, sizeof text, python)) line = text;
    pclose(python);
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
    return line;
  }();
  return root;
}

// Wheels for CUDA 13 share cu13/; those for 12 have a folder each.
bool opensBelow(const std::string& root, const std::string& name) {
  if (root.empty()) return false;
  for (const char* folder : {"cu13", "cublas", "cudnn", "cuda_nvrtc"}) {
    if (opens(root + "/" + folder + "/lib/" + name)) return true;
  }
  return false;
}

bool opensInToolkit(const std::string& name) {
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"}) {
    const char* toolkit = getenv(variable);
    if (toolkit && (opens(std::string(toolkit) + "/lib64/" + name) || opens(std::string(toolkit) + "/lib/" + name))) return true;
  }
  return false;
}

// Once a library is open, whoever needs it by name is satisfied.
bool provide(const std::string& name, const LibrarySearch& search) {
  return opensBelow(search.nvidiaRoot, name) || opensInToolkit(name) || opensBelow(pythonsRoot(), name);
}

// The function that NVIDIA's library lacks, from an error like "tlora_cuda.so: undefined symbol: cudnnCreate, version libcudnn.so.9"; else empty.
std::string missingFunction(const std::string& error) {
  static constexpr char kBefore[] = "undefined symbol: ";
  const size_t begin = error.find(kBefore);
  if (begin == std::string::npos) return "";
  const std::string name = error.substr(begin + sizeof kBefore - 1);
  return name.starts_with("cudnn") || name.starts_with("cublas") ? name.substr(0, name.find_first_of(", ")) : "";
}

std::string howToInstall(const std::string& name) {
  const std::string major = name.ends_with(".12") ? "12" : "13";
  if (name.starts_with("libcudnn")) return "pip install nvidia-cudnn-cu13 (or -cu12), or install cuDNN 9";
  return "pip install " + std::string(major == "12" ? "nvidia-cublas-cu12" : "nvidia-cublas") + ", or install the CUDA " + major + " toolkit";
}

// Opens the backend's file, and before it, one by one, the libraries that the system's loader does not find.
void* openFile(const std::string& path, const LibrarySearch& search, std::string& reason) {
  for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12", "libcudnn.so.9"}) opensBelow(search.nvidiaRoot, name);
  std::string before;
  for (;;) {
    if (void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return handle;
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

const Backend* openCudaBackend(const LibrarySearch& search, std::string& reason) {
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
  void* handle = openFile(path, search, reason);
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
