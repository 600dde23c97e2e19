#include "engine_object.h"

#include <thread>

#include "convert.h"
#include "engine_worker.h"
#include "program_object.h"

namespace tlora::addon {

Engine& Session::use(Napi::Env env) {
  if (disposed) throw toJavaScript(env, "ERR_TLORA_DISPOSED", "the engine was disposed");
  if (busy) throw toJavaScript(env, "ERR_TLORA_BUSY", "the engine is busy: await the run or load under way first");
  return *engine;
}

void Session::begin(Napi::Env env) {
  use(env).arm();
  busy = true;
}

void Session::end(Napi::Env env) {
  busy = false;
  if (disposed) engine->dispose();
  report(env);
}

void Session::report(Napi::Env env) {
  const int64_t now = static_cast<int64_t>(engine->hostBytes());
  Napi::MemoryManagement::AdjustExternalMemory(env, now - reported);
  reported = now;
}

namespace {

WeightSource weightSource(const Napi::Object& o) {
  WeightSource s;
  const Napi::Value name = o.Get("name"), shape = o.Get("shape");
  if (!name.IsString()) throw Napi::TypeError::New(o.Env(), "weight name: expected a string");
  s.name = name.As<Napi::String>().Utf8Value();
  s.dtype = dtypeArgument(o.Get("dtype"), "weight dtype");
  if (!shape.IsArray()) throw Napi::TypeError::New(o.Env(), "weight shape: expected an array");
  const auto sizes = shape.As<Napi::Array>();
  for (uint32_t i = 0; i < sizes.Length(); i++) {
    s.shape.push_back(static_cast<int64_t>(countArgument(sizes.Get(i), "weight shape")));
  }
  const Napi::Value layout = o.Get("layout");
  const std::string order = layout.IsString() ? layout.As<Napi::String>().Utf8Value() : "plain";
  s.oihw = order == "oihw";
  s.transposed = order == "transposed";
  if (!s.oihw && !s.transposed && order != "plain") {
    throw Napi::TypeError::New(o.Env(), "weight layout: expected plain, oihw or transposed, got " + order);
  }
  s.matrix = flag(o, "matrix");
  s.keep = flag(o, "keep");
  if (const Napi::Value as = o.Get("as"); !as.IsUndefined()) {
    s.as = dtypeArgument(as, "weight as");
    if (*s.as == DType::i32 || s.dtype == DType::i32) throw Napi::TypeError::New(o.Env(), "weight as: expected float types");
  }
  return s;
}

std::string pathArgument(const Napi::Object& o) {
  const Napi::Value path = o.Get("path");
  if (!path.IsString()) throw Napi::TypeError::New(o.Env(), "weight path: expected a string");
  return path.As<Napi::String>().Utf8Value();
}

WeightSource fileSource(const Napi::Object& o) {
  WeightSource s = weightSource(o);
  s.path = pathArgument(o);
  s.offset = countArgument(o.Get("offset"), "weight offset");
  const Napi::Value below = o.Get("below");
  if (below.IsUndefined()) return s;
  if (!below.IsArray()) throw Napi::TypeError::New(o.Env(), "weight below: expected an array");
  const auto parts = below.As<Napi::Array>();
  for (uint32_t i = 0; i < parts.Length(); i++) {
    const Napi::Value part = parts.Get(i);
    if (!part.IsObject()) throw Napi::TypeError::New(o.Env(), "weight below: expected objects");
    const auto rows = part.As<Napi::Object>();
    s.below.push_back({pathArgument(rows), countArgument(rows.Get("offset"), "weight offset"),
                       static_cast<int64_t>(countArgument(rows.Get("rows"), "weight rows"))});
  }
  return s;
}

}  // namespace

Napi::Function EngineObject::define(Napi::Env env) {
  using E = EngineObject;
  return DefineClass(env, "Engine",
                     {InstanceMethod<&E::loadWeights>("loadWeights"), InstanceMethod<&E::loading>("loading"),
                      InstanceMethod<&E::addWeight>("addWeight"), InstanceMethod<&E::releaseWeights>("releaseWeights"),
                      InstanceMethod<&E::createState>("createState"), InstanceMethod<&E::releaseState>("releaseState"),
                      InstanceMethod<&E::writeState>("writeState"), InstanceMethod<&E::readState>("readState"),
                      InstanceMethod<&E::load>("load"), InstanceMethod<&E::cancel>("cancel"),
                      InstanceMethod<&E::memory>("memory"), InstanceMethod<&E::choices>("choices"),
                      InstanceMethod<&E::useChoices>("useChoices"),
                      InstanceMethod<&E::suggestChoices>("suggestChoices"), InstanceMethod<&E::dispose>("dispose")});
}

namespace {

// { threads, device?, tf32?, attentionBytes?, trialMs?, search? }: a device is cpu, cuda or cuda:N.
std::shared_ptr<Engine> openEngine(const Napi::Object& options, int threads) {
  const Napi::Value wish = options.Get("device");
  const DeviceName device = parseDevice(wish.IsString() ? wish.As<Napi::String>().Utf8Value() : "cpu");
  std::string reason, lacking;
  const Backend* backend = device.cuda ? openCudaBackend(searchArgument(options.Get("search")), reason, lacking) : &cpuBackend();
  const Napi::Value trialMs = options.Get("trialMs"), attentionBytes = options.Get("attentionBytes");
  if (!backend) fail(kDevice, "device cuda: %s", reason.c_str());
  try {
    return std::make_shared<Engine>(*backend, threads, DeviceOptions{device.index, flag(options, "tf32"),
                                                                           attentionBytes.IsUndefined() ? 0 : countArgument(attentionBytes, "attentionBytes"),
                                                                           trialMs.IsNumber() ? trialMs.As<Napi::Number>().DoubleValue() : 0});
  } catch (const std::system_error& error) {
    fail(kNative, "%d threads could not be started: %s", threads, error.what());
  }
}

}  // namespace

EngineObject::EngineObject(const Napi::CallbackInfo& info) : ObjectWrap(info), session_(std::make_shared<Session>()) {
  if (!info[0].IsObject()) throw Napi::TypeError::New(info.Env(), "an engine comes from createEngine");
  const auto options = info[0].As<Napi::Object>();
  const uint64_t threads = countArgument(options.Get("threads"), "threads");
  if (threads < 1 || threads > 1024) throw Napi::RangeError::New(info.Env(), "threads: expected 1 to 1024");
  guarded(info.Env(), [&] { session_->engine = openEngine(options, static_cast<int>(threads)); });
}

EngineObject::~EngineObject() {
  if (!session_->engine) return;
  session_->engine->cancel();
  Napi::MemoryManagement::AdjustExternalMemory(Env(), -session_->reported);
  session_->reported = 0;
}

Napi::Value EngineObject::loadWeights(const Napi::CallbackInfo& info) {
  if (!info[0].IsArray()) throw Napi::TypeError::New(info.Env(), "loadWeights: expected an array");
  const auto list = info[0].As<Napi::Array>();
  auto sources = std::make_shared<std::vector<WeightSource>>();
  for (uint32_t i = 0; i < list.Length(); i++) {
    const Napi::Value item = list.Get(i);
    if (!item.IsObject()) throw Napi::TypeError::New(info.Env(), "loadWeights: expected objects");
    Napi::HandleScope scope(info.Env());
    sources->push_back(fileSource(item.As<Napi::Object>()));
  }
  return EngineWorker::start(
      info.Env(), session_, [sources](Engine& engine) { engine.loadWeights(*sources); },
      [](Napi::Env env) { return env.Undefined(); });
}

Napi::Value EngineObject::loading(const Napi::CallbackInfo& info) {
  const LoadProgress& progress = session_->engine->loading();
  Napi::Object o = Napi::Object::New(info.Env());
  o.Set("done", static_cast<double>(progress.done));
  o.Set("total", static_cast<double>(progress.total));
  return o;
}

Napi::Value EngineObject::addWeight(const Napi::CallbackInfo& info) {
  if (!info[0].IsObject()) throw Napi::TypeError::New(info.Env(), "addWeight: expected an object");
  const WeightSource source = weightSource(info[0].As<Napi::Object>());
  const Bytes data = arrayArgument(info[1], source.dtype, "weight data");
  Engine& engine = session_->use(info.Env());
  guarded(info.Env(), [&] { engine.arm(), engine.addWeight(source, data.data, data.bytes); });
  session_->report(info.Env());
  return info.Env().Undefined();
}

Napi::Value EngineObject::releaseWeights(const Napi::CallbackInfo& info) {
  const std::string prefix = textArgument(info, 0, "prefix");
  const size_t count = session_->use(info.Env()).releaseWeights(prefix);
  session_->report(info.Env());
  return Napi::Number::New(info.Env(), static_cast<double>(count));
}

Napi::Value EngineObject::createState(const Napi::CallbackInfo& info) {
  const std::string name = textArgument(info, 0, "name");
  const uint64_t floats = countArgument(info[1], "floats");
  guarded(info.Env(), [&] { session_->use(info.Env()).createState(name, floats); });
  session_->report(info.Env());
  return info.Env().Undefined();
}

Napi::Value EngineObject::releaseState(const Napi::CallbackInfo& info) {
  const std::string name = textArgument(info, 0, "name");
  guarded(info.Env(), [&] { session_->use(info.Env()).releaseState(name); });
  session_->report(info.Env());
  return info.Env().Undefined();
}

Napi::Value EngineObject::writeState(const Napi::CallbackInfo& info) {
  const std::string name = textArgument(info, 0, "name");
  const uint64_t offset = countArgument(info[1], "offset");
  const Bytes data = arrayArgument(info[2], DType::f32, "values");
  guarded(info.Env(), [&] {
    session_->use(info.Env()).writeState(name, offset, reinterpret_cast<const float*>(data.data), data.bytes / sizeof(float));
  });
  return info.Env().Undefined();
}

Napi::Value EngineObject::readState(const Napi::CallbackInfo& info) {
  const std::string name = textArgument(info, 0, "name");
  const uint64_t offset = countArgument(info[1], "offset");
  const Bytes data = arrayArgument(info[2], DType::f32, "values");
  guarded(info.Env(), [&] {
    session_->use(info.Env()).readState(name, offset, reinterpret_cast<float*>(data.data), data.bytes / sizeof(float));
  });
  return info[2];
}

Napi::Value EngineObject::load(const Napi::CallbackInfo& info) {
  const Napi::Value plan = info[0];
  if (!plan.IsTypedArray() || plan.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    throw Napi::TypeError::New(info.Env(), "load: expected a plan as Uint8Array");
  }
  const auto bytes = plan.As<Napi::Uint8Array>();
  Engine& engine = session_->use(info.Env());
  auto program = guarded(info.Env(), [&] { return engine.load(bytes.Data(), bytes.ByteLength()); });
  session_->report(info.Env());
  return ProgramObject::make(info.Env(), session_, std::move(program));
}

Napi::Value EngineObject::cancel(const Napi::CallbackInfo& info) {
  session_->engine->cancel();
  return info.Env().Undefined();
}

Napi::Value EngineObject::memory(const Napi::CallbackInfo& info) {
  const MemoryMeter& meter = session_->engine->memory();
  Napi::Object o = Napi::Object::New(info.Env());
  o.Set("weights", static_cast<double>(meter.bytes(Use::weights)));
  o.Set("state", static_cast<double>(meter.bytes(Use::state)));
  o.Set("arena", static_cast<double>(meter.bytes(Use::arena)));
  o.Set("io", static_cast<double>(meter.bytes(Use::io)));
  o.Set("workspace", static_cast<double>(meter.bytes(Use::workspace)));
  o.Set("peak", static_cast<double>(meter.peak()));
  o.Set("free", static_cast<double>(session_->engine->freeBytes()));
  return o;
}

Napi::Value EngineObject::choices(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), session_->use(info.Env()).choices());
}

Napi::Value EngineObject::useChoices(const Napi::CallbackInfo& info) {
  const std::string choices = textArgument(info, 0, "choices");
  guarded(info.Env(), [&] { session_->use(info.Env()).choose(choices); });
  return info.Env().Undefined();
}

Napi::Value EngineObject::suggestChoices(const Napi::CallbackInfo& info) {
  const std::string choices = textArgument(info, 0, "choices");
  guarded(info.Env(), [&] { session_->use(info.Env()).choose(choices, true); });
  return info.Env().Undefined();
}

Napi::Value EngineObject::dispose(const Napi::CallbackInfo& info) {
  if (session_->disposed) return info.Env().Undefined();
  session_->disposed = true;
  if (session_->busy) {
    session_->engine->cancel();
  } else {
    session_->engine->dispose();
    session_->report(info.Env());
  }
  return info.Env().Undefined();
}

}  // namespace tlora::addon
