// Work on an engine, off the main thread, as a promise.
#pragma once
#include <napi.h>

#include <functional>
#include <memory>
#include <string>

#include "convert.h"
#include "engine_object.h"

namespace tlora::addon {

class EngineWorker : public Napi::AsyncWorker {
 public:
  // `work` runs on another thread and must not touch JavaScript; `answer` then makes the promise's value.
  // Both may capture what they share; the worker keeps it and the session alive.
  using Work = std::function<void(Engine& engine)>;
  using Answer = std::function<Napi::Value(Napi::Env env)>;

  static Napi::Value start(Napi::Env env, std::shared_ptr<Session> session, Work work, Answer answer) {
    session->begin(env);
    auto* worker = new EngineWorker(env, std::move(session), std::move(work), std::move(answer));
    worker->Queue();
    return worker->deferred_.Promise();
  }

 protected:
  void Execute() override {
    try {
      work_(*session_->engine);
    } catch (const Error& error) {
      code_ = error.code;
      SetError(error.what());
    } catch (const std::bad_alloc&) {
      code_ = kOutOfMemory;
      SetError("not enough memory");
    } catch (const std::exception& error) {
      SetError(error.what());
    }
  }
  void OnOK() override {
    session_->end(Env());
    deferred_.Resolve(answer_(Env()));
  }
  void OnError(const Napi::Error& error) override {
    session_->end(Env());
    Napi::Value value = error.Value();
    value.As<Napi::Object>().Set("code", Napi::String::New(Env(), code_));
    deferred_.Reject(value);
  }

 private:
  EngineWorker(Napi::Env env, std::shared_ptr<Session> session, Work work, Answer answer)
      : Napi::AsyncWorker(env, "tlora"),
        deferred_(Napi::Promise::Deferred::New(env)),
        session_(std::move(session)),
        work_(std::move(work)),
        answer_(std::move(answer)) {}

  Napi::Promise::Deferred deferred_;
  std::shared_ptr<Session> session_;
  Work work_;
  Answer answer_;
  const char* code_ = kNative;
};

}  // namespace tlora::addon
