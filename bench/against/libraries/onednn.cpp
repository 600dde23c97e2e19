#include <stdexcept>
#include <string>

#include "contender.h"

#ifdef TLORA_BENCH_ONEDNN
#include <dnnl.hpp>
#endif

namespace tlora::bench {

#ifdef TLORA_BENCH_ONEDNN
namespace {

using namespace dnnl;
using Dims = memory::dims;

memory filled(const memory::desc& desc, engine& cpu) {
  memory made(desc, cpu);
  const Floats values(static_cast<int64_t>(desc.get_size() / sizeof(float)));
  std::copy(values.data, values.data + desc.get_size() / sizeof(float), static_cast<float*>(made.get_data_handle()));
  return made;
}

struct Window {
  Dims x, w, y, stride, pad;
};

convolution_forward::primitive_desc forwardOf(const Window& c, engine& cpu) {
  const auto any = [](const Dims& dims) { return memory::desc(dims, memory::data_type::f32, memory::format_tag::any); };
  return {{prop_kind::forward_inference, algorithm::convolution_auto, any(c.x), any(c.w), any(c.y), c.stride, c.pad, c.pad}, cpu};
}

convolution_backward_data::primitive_desc dataOf(const Window& c, engine& cpu) {
  const auto any = [](const Dims& dims) { return memory::desc(dims, memory::data_type::f32, memory::format_tag::any); };
  return {{algorithm::convolution_auto, any(c.x), any(c.w), any(c.y), c.stride, c.pad, c.pad}, cpu, forwardOf(c, cpu)};
}

}  // namespace

// Pictures and weights lie as oneDNN likes them best: no reorder is timed.
Work onednnConvolution(std::istream& words, std::string& about) {
  static engine cpu(engine::kind::cpu, 0);
  static stream queue(cpu);
  std::string direction;
  int64_t n, h, w, channels, outs, window, stride, pad;
  if (!(words >> direction >> n >> h >> w >> channels >> outs >> window >> stride >> pad))
    throw std::runtime_error("conv: a direction and eight numbers expected");
  const auto to = [&](int64_t size) { return (size + 2 * pad - window) / stride + 1; };
  const Window c{{n, channels, h, w}, {outs, channels, window, window}, {n, outs, to(h), to(w)}, {stride, stride}, {pad, pad}};
  if (direction == "forward") {
    const auto desc = forwardOf(c, cpu);
    about = desc.impl_info_str();
    const memory x = filled(desc.src_desc(), cpu), weight = filled(desc.weights_desc(), cpu), y(desc.dst_desc(), cpu);
    return [run = convolution_forward(desc), x, weight, y] {
      run.execute(queue, {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, weight}, {DNNL_ARG_DST, y}});
      queue.wait();
    };
  }
  const auto desc = dataOf(c, cpu);
  about = desc.impl_info_str();
  const memory dy = filled(desc.diff_dst_desc(), cpu), weight = filled(desc.weights_desc(), cpu), dx(desc.diff_src_desc(), cpu);
  return [run = convolution_backward_data(desc), dy, weight, dx] {
    run.execute(queue, {{DNNL_ARG_DIFF_DST, dy}, {DNNL_ARG_WEIGHTS, weight}, {DNNL_ARG_DIFF_SRC, dx}});
    queue.wait();
  };
}
#else
Work onednnConvolution(std::istream&, std::string&) { return {}; }
#endif

}  // namespace tlora::bench
