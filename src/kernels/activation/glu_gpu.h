// The gated activation on a GPU. Plain: CUDA files include this.
#pragma once

#include <cstdint>

#include "kernels/activation/glu_impl.h"
#include "kernels/gpu_impl.h"

namespace tern {

// out[t, i] = act(gate[t, i]) * up[t, i].
struct GpuGluArgs {
  Activation activation;
  const void* gate_up;  // bf16 [tokens, 2 * cols]: gate, then up
  void* out;            // bf16 [tokens, cols]
  int64_t tokens;
  int64_t cols;  // a multiple of 8
  bool overlap;  // begin while the launch before still runs
};

extern const GpuImpl<GpuGluArgs> kGpuGluSm80;

}  // namespace tern
