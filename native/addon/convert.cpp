#include "convert.h"

#include <cmath>

namespace tlora::addon {
namespace {

[[noreturn]] void typeError(const Napi::Value& value, const std::string& message) {
  throw Napi::TypeError::New(value.Env(), message);
}

napi_typedarray_type arrayType(DType dtype) {
  if (dtype == DType::f32) return napi_float32_array;
  return dtype == DType::i32 ? napi_int32_array : napi_uint16_array;
}

}  // namespace

std::string textArgument(const Napi::CallbackInfo& info, size_t i, const char* what) {
  if (!info[i].IsString()) typeError(info[i], std::string(what) + ": expected a string");
  return info[i].As<Napi::String>().Utf8Value();
}

uint64_t countArgument(const Napi::Value& value, const char* what) {
  const double n = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!(n >= 0 && n < 9007199254740992.0) || n != std::floor(n)) {
    typeError(value, std::string(what) + ": expected a whole number, 0 or larger");
  }
  return static_cast<uint64_t>(n);
}

const char* dtypeName(DType dtype) {
  static constexpr const char* kNames[] = {"f32", "f16", "bf16", "i32"};
  return kNames[static_cast<int>(dtype)];
}

DType dtypeArgument(const Napi::Value& value, const char* what) {
  const std::string name = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::i32}) {
    if (name == dtypeName(dtype)) return dtype;
  }
  typeError(value, std::string(what) + ": expected f32, f16, bf16 or i32");
}

Bytes arrayArgument(const Napi::Value& value, DType dtype, const char* what) {
  if (!value.IsTypedArray() || static_cast<napi_typedarray_type>(value.As<Napi::TypedArray>().TypedArrayType()) != arrayType(dtype)) {
    const char* expected = dtype == DType::f32 ? "Float32Array" : dtype == DType::i32 ? "Int32Array" : "Uint16Array";
    typeError(value, std::string(what) + ": expected a " + expected + " for " + dtypeName(dtype));
  }
  const auto array = value.As<Napi::TypedArray>();
  return {static_cast<uint8_t*>(array.ArrayBuffer().Data()) + array.ByteOffset(), array.ByteLength()};
}

LibrarySearch searchArgument(const Napi::Value& value) {
  if (!value.IsObject()) return {};
  const auto text = [&](const char* name) {
    const Napi::Value given = value.As<Napi::Object>().Get(name);
    return given.IsString() ? given.As<Napi::String>().Utf8Value() : std::string();
  };
  return {text("folder"), text("library"), text("nvidiaRoot")};
}

bool flag(const Napi::Object& options, const char* name) { return options.Get(name).ToBoolean().Value(); }

Napi::Error toJavaScript(Napi::Env env, const char* code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

}  // namespace tlora::addon
