#include "nvidia_libraries.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <vector>

namespace tlora {
namespace {

bool opens(const std::string& path) { return dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr; }

// A library that is open already, or nullptr.
void* opened(const std::string& name) { return dlopen(name.c_str(), RTLD_LAZY | RTLD_NOLOAD); }

// The folders nvidia/ of the packages of the python3 on PATH; asked once.
const std::vector<std::string>& pythonsRoots() {
  static const std::vector<std::string> roots = [] {
    std::vector<std::string> lines;
    FILE* python = popen("python3 -c 'import nvidia; print(*nvidia.__path__, sep=\"\\n\")' 2>/dev/null", "re");
    if (!python) return lines;
    char text[4096];
    while (fgets(text, sizeof text, python)) {
      std::string line = text;
      while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
      if (!line.empty()) lines.push_back(line);
    }
    pclose(python);
    return lines;
  }();
  return roots;
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

// The file of the library that holds a symbol, or empty.
std::string fileOf(const void* symbol) {
  Dl_info info{};
  return symbol && dladdr(symbol, &info) && info.dli_fname ? info.dli_fname : "";
}
std::string folderOf(const void* symbol) {
  const std::string path = fileOf(symbol);
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

// cuDNN compiles engines with NVRTC. That opens a second library of its own where the system's loader looks, which is not beside itself, so a
// wheel's never finds it: without, cuDNN would say of every such engine, those of attention among them, that it is not supported.
// Returns the library that could not be opened, or empty.
std::string missingCompiler(int major, const std::string& wheels, const LibrarySearch& search) {
  const std::string name = "libnvrtc.so." + std::to_string(major);
  if (!opensBelow(search.nvidiaRoot, name) && !opensBelow(wheels, name) && !opens(name) && !provide(name, search)) return name;
  void* compiler = opened(name);
  const auto version = compiler ? reinterpret_cast<int (*)(int*, int*)>(dlsym(compiler, "nvrtcVersion")) : nullptr;
  int found[2] = {};
  if (!version || version(&found[0], &found[1]) != 0) return name;
  const std::string second = "libnvrtc-builtins.so." + std::to_string(found[0]) + "." + std::to_string(found[1]);
  const bool there = opens(folderOf(reinterpret_cast<const void*>(version)) + "/" + second) || opens(second);
  return there ? "" : second;
}

// Whether a library's file names another, and so will open it.
bool names(const std::string& file, const std::string& library) {
  std::ifstream in(file, std::ios::binary);
  std::vector<char> block(1 << 20);
  for (std::string text; in.read(block.data(), static_cast<std::streamsize>(block.size())), in.gcount() > 0;) {
    text.append(block.data(), static_cast<size_t>(in.gcount()));
    if (text.find(library) != std::string::npos) return true;
    text.erase(0, text.size() - std::min(text.size(), library.size()));
  }
  return false;
}

const std::string kAnew = "; install cuDNN 9 anew";

std::string missingPart(const std::string& folder) {
  for (const char* part :
       {"libcudnn_graph.so.9", "libcudnn_heuristic.so.9", "libcudnn_engines_precompiled.so.9", "libcudnn_engines_runtime_compiled.so.9"}) {
    if (opens(folder + "/" + part)) continue;
    const std::string error = dlerror();
    if (!opens(part)) return "a part of cuDNN cannot be opened: " + error + kAnew;
  }
  return "";
}

// A part that newer versions have, which refuse everything without it. It is left to cuDNN to open: before 9.26 it is said to be set up wrongly where
// others have.
std::string missingTensorPart(const std::string& folder, const std::string& graph) {
  const std::string part = "libcudnn_engines_tensor_ir.so";
  if (access((folder + "/" + part + ".9").c_str(), R_OK) == 0 || !names(graph, part) || opens(part + ".9")) return "";
  return "a part of cuDNN is missing: " + part + ".9" + kAnew;
}

}  // namespace

std::string missingLibrary(const std::string& error) {
  const size_t end = error.find(": cannot open shared object file");
  if (end == std::string::npos) return "";
  const std::string name = error.substr(0, end);
  return name.starts_with("libcublas") || name.starts_with("libcudnn") || name.starts_with("libnvrtc") ? name : "";
}

std::string missingFunction(const std::string& error) {
  static constexpr char kBefore[] = "undefined symbol: ";
  const size_t begin = error.find(kBefore);
  if (begin == std::string::npos) return "";
  const std::string name = error.substr(begin + sizeof kBefore - 1);
  return name.starts_with("cudnn") || name.starts_with("cublas") ? name.substr(0, name.find_first_of(", ")) : "";
}

std::string howToInstall(const std::string& name) {
  if (name.starts_with("libcudnn")) return "pip install nvidia-cudnn-cu13 (or -cu12), or install cuDNN 9";
  const std::string version = name.substr(name.find(".so.") + 4), major = version.substr(0, version.find('.'));
  const std::string wheel = name.starts_with("libnvrtc") ? "nvidia-cuda-nvrtc" : "nvidia-cublas";
  return "pip install " + wheel + (major == "12" ? "-cu12" : "") + ", or install the CUDA " + major + " toolkit";
}

void openFromRoot(const LibrarySearch& search) {
  for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12", "libcudnn.so.9"}) opensBelow(search.nvidiaRoot, name);
}

bool provide(const std::string& name, const LibrarySearch& search) {
  if (opensBelow(search.nvidiaRoot, name) || opensInToolkit(name)) return true;
  for (const std::string& root : pythonsRoots()) {
    if (opensBelow(root, name)) return true;
  }
  return false;
}

// The library that one links with opens its parts beside itself, and these the cuBLASLt of the CUDA that they were made with, which may be another
// than that of the backend.
std::string missingBehindDnn(const LibrarySearch& search, std::string& lacking) {
  void* dnn = opened("libcudnn.so.9");
  if (!dnn) return "";
  const std::string folder = folderOf(dlsym(dnn, "cudnnGetVersion"));
  const std::string part = missingPart(folder);
  if (!part.empty()) return part;
  void* graph = opened("libcudnn_graph.so.9");
  const auto version = graph ? reinterpret_cast<size_t (*)()>(dlsym(graph, "cudnnGetCudartVersion")) : nullptr;
  if (!version) return "the library libcudnn_graph.so.9 is not that of cuDNN 9" + kAnew;
  const std::string tensorPart = missingTensorPart(folder, fileOf(reinterpret_cast<const void*>(version)));
  if (!tensorPart.empty()) return tensorPart;
  const int major = int(version() / 1000);
  const std::string wheels = folder + "/../..", blas = "libcublasLt.so." + std::to_string(major);
  if (!opens(blas) && !opensBelow(wheels, blas) && !provide(blas, search)) return "cuDNN needs " + blas + ", which is missing: " + howToInstall(blas);
  const std::string compiler = missingCompiler(major, wheels, search);
  if (!compiler.empty())
    lacking = compiler + " is missing, with which cuDNN compiles what computes attention, so that tlora's own kernels do it alone: " + howToInstall(compiler);
  return "";
}

}  // namespace tlora
