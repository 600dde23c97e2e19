// Weights, state and inputs for plans that run without a model.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "engine.h"
#include "half.h"
#include "plan.h"

namespace tlora {

// Uniform in [-1, 1): xorshift64*, drawn once and repeated, as to draw the billions of a large model's weights would take longer than to run it.
class Random {
 public:
  Random() : values_(kPeriod) {
    uint64_t state = 0x9e3779b97f4a7c15ull;
    for (float& value : values_) {
      state ^= state >> 12;
      state ^= state << 25;
      state ^= state >> 27;
      value = static_cast<float>(static_cast<int32_t>((state * 0x2545f4914f6cdd1dull) >> 32)) * 0x1p-31f;
    }
  }
  float next() { return values_[begin(1)]; }
  // Where the next `count` begin; the values may be read from several threads.
  size_t begin(size_t count) {
    const size_t from = at_;
    at_ = (at_ + count) % kPeriod;
    return from;
  }
  float at(size_t index) const { return values_[index % kPeriod]; }

 private:
  static constexpr size_t kPeriod = 1000003;  // a prime: no rows of a matrix are alike
  std::vector<float> values_;
  size_t at_ = 0;
};

// Calls body(begin, end) for stretches of [0, n), several at a time.
template <class Body>
void inStretches(size_t n, Body body) {
  constexpr size_t kLeast = size_t{1} << 18;
  const size_t count = std::clamp<size_t>(n / kLeast, 1, std::max(1u, std::thread::hardware_concurrency()));
  std::vector<std::thread> threads;
  for (size_t i = 1; i < count; i++) threads.emplace_back(body, n * i / count, n * (i + 1) / count);
  body(0, n / count);
  for (std::thread& thread : threads) thread.join();
}

// Integers are all 1: a valid id, index, rank and key.
inline std::vector<char> madeUp(const PlannedTensor& t, float scale, Random& random) {
  std::vector<char> bytes(t.bytes);
  const size_t n = t.bytes / dtypeBytes(t.dtype), from = random.begin(n);
  inStretches(n, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) {
      const float x = random.at(from + i) * scale;
      const uint16_t half = t.dtype == DType::f16 ? f32ToF16(x) : f32ToBf16(x);
      const int32_t one = 1;
      if (t.dtype == DType::f32) memcpy(&bytes[4 * i], &x, 4);
      else if (t.dtype == DType::i32) memcpy(&bytes[4 * i], &one, 4);
      else memcpy(&bytes[2 * i], &half, 2);
    }
  });
  return bytes;
}

// Inputs. Vectors (times, mixing factors, the optimizer's settings) are positive, as the real ones are: a negative bias correction
// would have no square root.
inline std::vector<char> madeUpInput(const PlannedTensor& t, Random& random) {
  std::vector<char> bytes = madeUp(t, 1, random);
  if (t.rank > 1 || t.dtype != DType::f32) return bytes;
  for (size_t i = 3; i < bytes.size(); i += 4) bytes[i] = static_cast<char>(bytes[i] & 0x7f);  // the sign
  return bytes;
}

inline std::vector<char> filled(const PlannedTensor& t, double number) {
  std::vector<char> bytes(t.bytes);
  for (size_t i = 0; i < t.bytes; i += dtypeBytes(t.dtype)) {
    const float x = static_cast<float>(number);
    const int32_t whole = static_cast<int32_t>(number);
    const uint16_t half = t.dtype == DType::f16 ? f32ToF16(x) : f32ToBf16(x);
    if (t.dtype == DType::f32) memcpy(&bytes[i], &x, 4);
    else if (t.dtype == DType::i32) memcpy(&bytes[i], &whole, 4);
    else memcpy(&bytes[i], &half, 2);
  }
  return bytes;
}

// Weights are scaled by 1 / sqrt(columns), so that activations keep their size.
inline void addWeights(Engine& engine, const Plan& plan, Random& random) {
  std::vector<WeightSource> sources;
  std::vector<const PlannedTensor*> tensors;
  std::set<std::string> added;
  for (const PlannedTensor& t : plan.tensors) {
    if (t.place != Place::weight || !added.insert(t.buffer).second) continue;
    WeightSource source;
    source.name = t.buffer;
    source.dtype = t.dtype;
    source.shape.assign(t.dims, t.dims + t.rank);
    source.matrix = t.matrix;
    source.keep = !t.matrix;
    sources.push_back(std::move(source));
    tensors.push_back(&t);
  }
  engine.reserveWeights(sources);
  for (size_t i = 0; i < sources.size(); i++) {
    const PlannedTensor& t = *tensors[i];
    const double columns = t.rank > 1 ? static_cast<double>(t.bytes / dtypeBytes(t.dtype) / t.dims[0]) : 1;
    const std::vector<char> data = madeUp(t, static_cast<float>(1 / std::sqrt(columns)), random);
    engine.addWeight(sources[i], data.data(), data.size());
  }
}

// Small and positive: second moments must not be negative.
inline void createStates(Engine& engine, const Plan& plan, Random& random) {
  for (const StateSize& s : plan.states) {
    std::vector<float> values(s.bytes / sizeof(float));
    for (float& v : values) v = std::abs(random.next()) * 0.01f;
    engine.createState(s.name, values.size());
    engine.writeState(s.name, 0, values.data(), values.size());
  }
}

}  // namespace tlora
