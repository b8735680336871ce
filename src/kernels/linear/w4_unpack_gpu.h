// Packed 4-bit weights (w4_block32.h) as bf16 on a GPU, for products of many tokens. Plain: CUDA files include this.
#pragma once

#include <cstdint>

#include "kernels/gpu_impl.h"

namespace tern {

// out[r, c] = the weight, rounded to bf16.
struct GpuW4UnpackArgs {
  const void* weights;  // w4_block32 [rows, cols], 16-byte aligned
  void* out;            // bf16 [rows, cols], 4-byte aligned
  int64_t rows;
  int64_t cols;  // a multiple of 32
  bool offsets;  // as block32_stride() takes it
  bool overlap;  // begin while the launch before still runs
};

extern const GpuImpl<GpuW4UnpackArgs> kGpuW4UnpackSm90;

}  // namespace tern
