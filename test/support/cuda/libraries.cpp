#include "cuda/libraries.h"

#include "emulatedLibraries.h"

namespace tlora::cuda {

Libraries* openLibraries(cudaStream_t) { return new Libraries{Choices({"emulated", "emulated", "emulated"})}; }

void closeLibraries(Libraries* libraries) { delete libraries; }

std::string exportChoices(const Libraries& libraries) { return libraries.choices.json(); }

bool importChoices(Libraries& libraries, std::string_view json, Reason& reason) { return libraries.choices.read(json, reason); }

}  // namespace tlora::cuda
