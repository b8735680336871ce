// Rows by number on a GPU: the token embedding, and the rows whose logits are wanted. Plain: CUDA files include this.
#pragma once

#include <cstdint>

#include "kernels/gpu_impl.h"

namespace tern {

// out[t] = scale * table[ids[t]]; an id -1 - r stands for drawn[r], where a drawn id below 0 (a row without a token)
// reads as 0.
struct GpuEmbedArgs {
  const void* table;     // bf16 [vocabulary, cols]
  const int32_t* ids;    // [tokens]
  const int32_t* drawn;  // null: no id is below 0
  float* out;            // [tokens, cols]
  int64_t tokens;
  int64_t cols;
  bool overlap;  // begin while the launch before still runs
  float scale = 1;
};

// out[r] = in[index[r]], rows of any type.
struct GpuSelectRowsArgs {
  const void* in;        // [.., row_bytes]
  const int32_t* index;  // [rows]
  void* out;             // [rows, row_bytes]
  int64_t rows;
  int64_t row_bytes;  // a multiple of 4
  bool overlap;
};

extern const GpuImpl<GpuEmbedArgs> kGpuEmbedSm80;
extern const GpuImpl<GpuSelectRowsArgs> kGpuSelectRowsSm80;

}  // namespace tern
