#pragma once
#include <napi.h>

#include <memory>

#include "core/engine.h"

namespace tlora::addon {

// What an engine object, its programs and a worker under way share.
struct Session {
  std::shared_ptr<Engine> engine;
  bool busy = false;      // a worker uses the engine; only cancel, progress and memory are allowed
  bool disposed = false;  // memory is freed at once, or when the worker ends
  int64_t reported = 0;   // bytes V8 knows of

  // The engine, if it may be used now; throws otherwise.
  Engine& use(Napi::Env env);
  // Marks the engine busy and forgets an earlier cancel.
  void begin(Napi::Env env);
  // After a worker: free if dispose() was called meanwhile.
  void end(Napi::Env env);
  // Tells V8 how much memory hangs on this object.
  void report(Napi::Env env);
};

// `engine.*` in JavaScript; lib/addon/surface.ts documents each method.
class EngineObject : public Napi::ObjectWrap<EngineObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit EngineObject(const Napi::CallbackInfo& info);
  ~EngineObject() override;

 private:
  Napi::Value loadWeights(const Napi::CallbackInfo& info);
  Napi::Value loading(const Napi::CallbackInfo& info);
  Napi::Value addWeight(const Napi::CallbackInfo& info);
  Napi::Value releaseWeights(const Napi::CallbackInfo& info);
  Napi::Value createState(const Napi::CallbackInfo& info);
  Napi::Value releaseState(const Napi::CallbackInfo& info);
  Napi::Value writeState(const Napi::CallbackInfo& info);
  Napi::Value readState(const Napi::CallbackInfo& info);
  Napi::Value load(const Napi::CallbackInfo& info);
  Napi::Value cancel(const Napi::CallbackInfo& info);
  Napi::Value memory(const Napi::CallbackInfo& info);
  Napi::Value choices(const Napi::CallbackInfo& info);
  Napi::Value useChoices(const Napi::CallbackInfo& info);
  Napi::Value suggestChoices(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  std::shared_ptr<Session> session_;
};

}  // namespace tlora::addon
