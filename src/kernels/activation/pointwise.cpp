#include "kernels/activation/pointwise.h"

#include <cmath>

namespace tern {

void add_row(const float* a, const float* b, float* out, int64_t cols) {
  for (int64_t i = 0; i < cols; ++i) out[i] = a[i] + b[i];
}

void scale_row(const float* in, float scale, float* out, int64_t cols) {
  for (int64_t i = 0; i < cols; ++i) out[i] = scale * in[i];
}

void soft_cap_row(const float* in, float cap, float* out, int64_t cols) {
  for (int64_t i = 0; i < cols; ++i) out[i] = cap * std::tanh(in[i] / cap);
}

void sigmoid_gate_row(const float* in, const float* gate, float* out, int64_t cols) {
  for (int64_t i = 0; i < cols; ++i) out[i] = in[i] / (1 + std::exp(-gate[i]));
}

}  // namespace tern
