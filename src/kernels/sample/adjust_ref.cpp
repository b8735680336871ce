#include <algorithm>

#include "kernels/sample/adjust_gpu.h"

namespace tern {
namespace {

struct HostFloat {
  static float sum(float a, float b) { return a + b; }
  static float difference(float a, float b) { return a - b; }
  static float product(float a, float b) { return a * b; }
  static float quotient(float a, float b) { return a / b; }
};

}  // namespace

void adjust_rows_ref(const GpuAdjustArgs& args) {
  for (int64_t row = 0; row < args.rows; ++row) {
    const GpuAdjust& adjust = args.adjusts[row];
    if (!is_adjusted(adjust)) continue;
    float* out = args.adjusted + row * args.vocabulary;
    std::copy_n(args.logits + row * args.vocabulary, args.vocabulary, out);
    for (int32_t i = 0; i < adjust.biases; ++i) {
      const GpuBias& bias = args.biases[adjust.first_bias + i];
      if (bias.id >= 0 && bias.id < args.vocabulary) out[bias.id] += bias.bias;
    }
    if (adjust.slot < 0) continue;
    const GpuTokenCount* counts = args.counts + adjust.slot * args.vocabulary;
    for (int64_t id = 0; id < args.vocabulary; ++id) out[id] = penalized<HostFloat>(out[id], counts[id], adjust);
  }
}

}  // namespace tern
