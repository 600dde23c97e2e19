// y = std * N(0, 1), Box-Muller on Philox4x32-10, float64 inside. The layout of the draws is in lib/ops/randomNormal.ts.
#include "draws.h"

namespace tlora::cpu {

void randomNormal(const Call& call, Context& context) {
  const double std = call.attr[0];
  fillFromStreams(call.in[0], call.out[0], context.pool, [std](const PhiloxKey& key, uint64_t block) {
    const Four<double> normal = normalsOf(key, block);
    return Four<float>{float(std * normal[0]), float(std * normal[1]), float(std * normal[2]),
                                float(std * normal[3])};
  });
}

}  // namespace tlora::cpu
