// e4m3 weights with a scale for 128 x 128 as bf16 on a GPU, for products of many tokens. Plain: CUDA files include
// this.
#pragma once

#include <cstdint>

#include "kernels/gpu_impl.h"

namespace tern {

// out[r, c] = weights[r, c] * scales[r / 128, c / 128], rounded to bf16.
struct GpuFp8UnpackArgs {
  const void* weights;  // e4m3 [rows, cols], 8-byte aligned
  const float* scales;  // [ceil(rows / 128), ceil(cols / 128)]
  void* out;            // bf16 [rows, cols], 16-byte aligned
  int64_t rows;
  int64_t cols;  // a multiple of 8
  bool overlap;  // begin while the launch before still runs
};

extern const GpuImpl<GpuFp8UnpackArgs> kGpuFp8UnpackSm90;

}  // namespace tern
