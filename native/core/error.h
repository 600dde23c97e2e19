// The one exception of native code. It never leaves an asynchronous worker or a binding: both turn it into a JavaScript error.
#pragma once
#include <cstdarg>
#include <cstdio>
#include <stdexcept>
#include <string>

namespace tlora {

// `code` is what JavaScript sees as error.code.
struct Error : std::runtime_error {
  Error(const char* errorCode, const std::string& message) : std::runtime_error(message), code(errorCode) {}
  const char* code;
};

constexpr const char* kCancelled = "ABORT_ERR";
constexpr const char* kOutOfMemory = "ERR_TLORA_OUT_OF_MEMORY";
constexpr const char* kNonFinite = "ERR_TLORA_NON_FINITE";
constexpr const char* kFileFormat = "ERR_TLORA_FILE_FORMAT";
constexpr const char* kDevice = "ERR_TLORA_DEVICE";
constexpr const char* kPlan = "ERR_TLORA_PLAN";      // an encoded plan that cannot be read or bound
constexpr const char* kNative = "ERR_TLORA_NATIVE";  // a wrong call of the addon, or a kernel that failed

[[noreturn]] __attribute__((format(printf, 2, 3))) inline void fail(const char* code, const char* format, ...) {
  char text[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  throw Error(code, text);
}

}  // namespace tlora
