// The bias of a product on a GPU, added behind it. Plain: CUDA files include this.
#pragma once

#include <cstdint>

#include "kernels/gpu_impl.h"

namespace tern {

// y[t, n] += bias[n].
struct GpuBiasArgs {
  void* y;            // bf16 [tokens, cols]
  const float* bias;  // [cols]
  int64_t tokens;
  int64_t cols;
  bool overlap;  // begin while the launch before still runs
};

extern const GpuImpl<GpuBiasArgs> kGpuBiasSm80;

}  // namespace tern
