#include "program_object.h"

#include "convert.h"
#include "engine_worker.h"

namespace tlora::addon {
namespace {

// What make() hands to the constructor, which JavaScript must not call.
struct Parts {
  std::shared_ptr<Session> session;
  std::shared_ptr<Program> program;
};

Napi::Value reportObject(Napi::Env env, const RunReport& report, const Plan& plan) {
  Napi::Object o = Napi::Object::New(env);
  o.Set("ms", report.ms);
  if (!report.unrecorded.empty()) o.Set("unrecorded", report.unrecorded);
  if (report.callMs.empty()) return o;
  Napi::Array calls = Napi::Array::New(env, report.callMs.size());
  for (size_t i = 0; i < report.callMs.size(); i++) {
    Napi::HandleScope scope(env);
    Napi::Object call = Napi::Object::New(env);
    call.Set("op", plan.calls[i].op);
    call.Set("path", plan.calls[i].path);
    call.Set("ms", report.callMs[i]);
    calls.Set(static_cast<uint32_t>(i), call);
  }
  o.Set("calls", calls);
  return o;
}

}  // namespace

Napi::Function ProgramObject::define(Napi::Env env) {
  using P = ProgramObject;
  return DefineClass(env, "Program",
                     {InstanceMethod<&P::write>("write"), InstanceMethod<&P::read>("read"), InstanceMethod<&P::run>("run"),
                      InstanceMethod<&P::dispose>("dispose")});
}

Napi::Object ProgramObject::make(Napi::Env env, std::shared_ptr<Session> session, std::shared_ptr<Program> program) {
  Parts parts{std::move(session), std::move(program)};
  return env.GetInstanceData<Classes>()->program.New({Napi::External<Parts>::New(env, &parts)});
}

ProgramObject::ProgramObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  if (!info[0].IsExternal()) throw Napi::TypeError::New(info.Env(), "a program comes from engine.load");
  Parts* parts = info[0].As<Napi::External<Parts>>().Data();
  session_ = std::move(parts->session);
  program_ = std::move(parts->program);
}

Program& ProgramObject::use(Napi::Env env) {
  session_->use(env);
  if (!program_) throw toJavaScript(env, "ERR_TLORA_DISPOSED", "the program was disposed");
  return *program_;
}

Napi::Value ProgramObject::write(const Napi::CallbackInfo& info) {
  const std::string name = textArgument(info, 0, "input");
  guarded(info.Env(), [&] {
    Program& program = use(info.Env());
    const Bytes data = arrayArgument(info[1], program.input(name).dtype, ("input '" + name + "'").c_str());
    program.write(name, data.data, data.bytes);
  });
  return info.Env().Undefined();
}

Napi::Value ProgramObject::read(const Napi::CallbackInfo& info) {
  const std::string name = textArgument(info, 0, "result");
  return guarded(info.Env(), [&]() -> Napi::Value {
    Program& program = use(info.Env());
    const PlannedTensor& tensor = program.result(name);
    Napi::ArrayBuffer copy = Napi::ArrayBuffer::New(info.Env(), tensor.bytes);
    program.read(tensor, copy.Data(), tensor.bytes);
    return copy;
  });
}

Napi::Value ProgramObject::run(const Napi::CallbackInfo& info) {
  use(info.Env());
  RunOptions options;
  if (info[0].IsObject()) {
    const auto given = info[0].As<Napi::Object>();
    options.checkFinite = flag(given, "check");
    options.checkWrites = flag(given, "guard");
    options.profile = flag(given, "profile");
    options.record = given.Get("record").IsUndefined() || flag(given, "record");
    options.wait = !flag(given, "queue");
  }
  auto report = std::make_shared<RunReport>();
  return EngineWorker::start(
      info.Env(), session_, [program = program_, report, options](Engine&) { *report = program->run(options); },
      [program = program_, report](Napi::Env env) { return reportObject(env, *report, program->plan()); });
}

Napi::Value ProgramObject::dispose(const Napi::CallbackInfo& info) {
  if (!program_) return info.Env().Undefined();
  // A run under way keeps the program alive and frees it at its end.
  if (!session_->busy) program_->dispose();
  program_.reset();
  if (!session_->busy) session_->report(info.Env());
  return info.Env().Undefined();
}

}  // namespace tlora::addon
