// Scaling and soft caps on a GPU. Plain: CUDA files include this.
#pragma once

#include <cstdint>

#include "kernels/gpu_impl.h"

namespace tern {

// out = cap(scale * in), cap(x) = soft_cap * tanh(x / soft_cap).
struct GpuPointwiseArgs {
  const void* in;  // [count], f32 or bf16
  void* out;       // [count] of the same type, may be `in`
  bool f32;
  int64_t count;
  float scale;
  float soft_cap;  // 0: none
  bool overlap;    // begin while the launch before still runs
};

extern const GpuImpl<GpuPointwiseArgs> kGpuPointwiseSm80;

}  // namespace tern
