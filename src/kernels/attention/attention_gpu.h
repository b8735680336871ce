// Attention over a paged cache on any GPU, for any number of query tokens and any head size up to 256: what runs where
// no faster kernel fits, and what those are held against. Plain: CUDA files include this.
#pragma once

#include <cstdint>

#include "kernels/attention/decode_attention.h"
#include "kernels/gpu_impl.h"

namespace tern {

inline constexpr int32_t kGpuAttentionMaxDim = 256;

// What decode_attention.h says, and as there: a row's bits depend on its query, its position and its keys alone.
struct GpuAttentionArgs {
  DecodeAttentionDesc desc;
  DecodeKvView kv;
  const void* q;                // bf16 [tokens, heads * head_dim]
  void* out;                    // bf16, the same
  const int32_t* positions;     // [tokens]
  const int32_t* sequences;     // [tokens] rows of block_tables
  const int32_t* block_tables;  // [sequences, table_stride]
  int64_t table_stride;
  const float* sinks;  // [heads]; null: none
  int64_t tokens;
  bool overlap;  // begin while the launch before still runs
};

extern const GpuImpl<GpuAttentionArgs> kGpuAttentionSm80;

}  // namespace tern
