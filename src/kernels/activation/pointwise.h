// Elementwise operations that few models need and that take no time beside their products: plain loops on rows, one
// implementation. Any thread.
#pragma once

#include <cstdint>

namespace tern {

void add_row(const float* a, const float* b, float* out, int64_t cols);
void scale_row(const float* in, float scale, float* out, int64_t cols);
// cap * tanh(in / cap)
void soft_cap_row(const float* in, float cap, float* out, int64_t cols);

// in * sigmoid(gate)
void sigmoid_gate_row(const float* in, const float* gate, float* out, int64_t cols);

}  // namespace tern
