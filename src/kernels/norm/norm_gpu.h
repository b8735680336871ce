// RMS norm on a GPU, alone or behind a residual sum. Plain: CUDA files include this.
#pragma once

#include <cstdint>

#include "kernels/gpu_impl.h"

namespace tern {

inline constexpr int64_t kGpuNormMaxCols = 16384;

// s = in + delta, or either; out = s / sqrt(mean(s^2) + eps) * weight.
struct GpuNormArgs {
  const float* in;      // [tokens, cols]; null: none
  const void* delta;    // bf16 [tokens, cols]; null: none
  float* sum;           // [tokens, cols] s, may be `in`; unused where s is not a sum
  const float* weight;  // [cols]
  void* out;            // bf16 [tokens, cols]
  int64_t tokens;
  int64_t cols;  // a multiple of 8, at most kGpuNormMaxCols
  float eps;
  bool overlap;  // begin while the launch before still runs
};

extern const GpuImpl<GpuNormArgs> kGpuNormSm80;

}  // namespace tern
