// JavaScript arguments to C++ values, and errors back. A wrong argument is a TypeError.
#pragma once
#include <napi.h>

#include <string>
#include <vector>

#include "core/backend_library.h"
#include "core/error.h"
#include "core/tensor.h"

namespace tlora::addon {

std::string textArgument(const Napi::CallbackInfo& info, size_t i, const char* what);
// A whole number from 0 to 2^53 − 1.
uint64_t countArgument(const Napi::Value& value, const char* what);
DType dtypeArgument(const Napi::Value& value, const char* what);
// The bytes of a typed array whose elements are those of `dtype`: Float32Array, Int32Array, or Uint16Array for half types.
struct Bytes {
  uint8_t* data;
  size_t bytes;
};
Bytes arrayArgument(const Napi::Value& value, DType dtype, const char* what);
bool flag(const Napi::Object& options, const char* name);

// { folder, library, nvidiaRoot }, each a text or absent; so is everything that is no object.
LibrarySearch searchArgument(const Napi::Value& value);

const char* dtypeName(DType dtype);

// A JavaScript Error with the code of ours.
Napi::Error toJavaScript(Napi::Env env, const char* code, const std::string& message);

// Runs `body` on the main thread; what it throws becomes a JavaScript error.
template <class Body>
auto guarded(Napi::Env env, Body body) {
  try {
    return body();
  } catch (const Error& error) {
    throw toJavaScript(env, error.code, error.what());
  } catch (const std::bad_alloc&) {
    throw toJavaScript(env, kOutOfMemory, "not enough memory");
  }
}

}  // namespace tlora::addon
