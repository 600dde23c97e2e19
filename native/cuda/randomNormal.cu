// y = std times standard normals, float32, from the key's stream: float64 arithmetic, so that they are the CPU's but for the last bit of
// the libraries' logarithms and cosines.
#include "cuda/draws.h"

namespace tlora::cuda {

namespace {

struct Normals {
  double std;
  __device__ Four<float> operator()(const PhiloxKey& key, uint64_t block) const {
    const Four<double> normal = normalsOf(key, block);
    return {float(std * normal[0]), float(std * normal[1]), float(std * normal[2]), float(std * normal[3])};
  }
};

}  // namespace

void randomNormal(const Call& call, Context& context) { fillFromStreams(context, Normals{call.attr[0]}, call.in[0], call.out[0]); }

}  // namespace tlora::cuda
