// y = uniforms in [0, 1), multiples of 2^-24, float32, from the key's stream: the CPU's bits.
#include "cuda/draws.h"

namespace tlora::cuda {

namespace {

struct Uniforms {
  __device__ Four<float> operator()(const PhiloxKey& key, uint64_t block) const {
    const PhiloxBlock words = philox(key, block);
    Four<float> uniform;
    for (int i = 0; i < 4; i++) uniform[i] = float(words[i] >> 8) * 0x1p-24f;
    return uniform;
  }
};

}  // namespace

void randomUniform(const Call& call, Context& context) { fillFromStreams(context, Uniforms{}, call.in[0], call.out[0]); }

}  // namespace tlora::cuda
