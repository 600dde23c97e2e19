#pragma once
#include <napi.h>

#include <memory>

#include "engine_object.h"

namespace tlora::addon {

// `program.*` in JavaScript; lib/addon/surface.ts documents each method.
class ProgramObject : public Napi::ObjectWrap<ProgramObject> {
 public:
  static Napi::Function define(Napi::Env env);
  static Napi::Object make(Napi::Env env, std::shared_ptr<Session> session, std::shared_ptr<Program> program);
  explicit ProgramObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value write(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value run(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);
  Program& use(Napi::Env env);

  std::shared_ptr<Session> session_;
  std::shared_ptr<Program> program_;
};

// The classes of one environment (a worker thread has its own), so that the addon has no globals.
struct Classes {
  Napi::FunctionReference engine, program;
};

}  // namespace tlora::addon
