// y = (word >> 8) * 2^-24 in [0, 1). The layout of the draws is in lib/ops/randomUniform.ts.
#include "draws.h"

namespace tlora::cpu {

void randomUniform(const Call& call, Context& context) {
  fillFromStreams(call.in[0], call.out[0], context.pool, [](const PhiloxKey& key, uint64_t block) {
    const PhiloxBlock words = philox(key, block);
    Four<float> uniform;
    for (int i = 0; i < 4; i++) uniform[i] = float(words[i] >> 8) * 0x1p-24f;
    return uniform;
  });
}

}  // namespace tlora::cpu
