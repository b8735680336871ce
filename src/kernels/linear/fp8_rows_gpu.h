// Rows of bf16 as 8-bit floats (e4m3) with one scale a row, on a GPU: weights while they are loaded, activations before
// a product of many tokens. Plain: CUDA files include this.
#pragma once

#include <cstdint>

#include "kernels/gpu_impl.h"

namespace tern {

// scales[r] = max |in[r]| / 448 (1 for a row of zeros); out[r, c] = in[r, c] / scales[r], to the nearest.
struct GpuFp8RowsArgs {
  const void* in;  // bf16 [rows, cols], 16-byte aligned
  void* out;       // e4m3 [rows, cols], 8-byte aligned
  float* scales;   // [rows]
  int64_t rows;
  int64_t cols;  // a multiple of 8
  bool overlap;  // begin while the launch before still runs
};

extern const GpuImpl<GpuFp8RowsArgs> kGpuFp8RowsSm90;

}  // namespace tern
