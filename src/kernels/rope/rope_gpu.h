// Rotary position embedding on a GPU, fused with writing keys and values to the paged cache. Plain: CUDA files include
// this. The rotation is that of rope.h.
#pragma once

#include <cstdint>

#include "kernels/attention/decode_attention.h"
#include "kernels/gpu_impl.h"
#include "kernels/rope/rope_impl.h"

namespace tern {

struct GpuRopeKvArgs {
  const void* qkv;  // bf16 [tokens, (heads + 2 * kv_heads) * head_dim]: q, k, v
  void* q_out;      // bf16 [tokens, heads * head_dim]
  int32_t heads;
  int32_t kv_heads;
  int32_t head_dim;
  int32_t rope_dims;
  RopeStyle style;
  const float* cos;  // [positions, rope_dims / 2]; of no use where rope_dims is 0
  const float* sin;
  const int32_t* positions;  // [tokens]
  // [tokens] Where the token's key and value go: block * block_tokens + place in the block; -1: nowhere.
  const int64_t* slots;
  DecodeKv kv;        // of kFp8 a head's row is scaled so that its largest element is 448, and its scale written
  DecodeKvView view;  // whose pool is written
  int32_t block_tokens;
  int64_t tokens;
  bool overlap;  // begin while the launch before still runs
  // Weights [head_dim] of RMS norms of each head of q and of k, before they rotate; null: none.
  const float* q_norm = nullptr;
  const float* k_norm = nullptr;
  float norm_eps = 0;
};

extern const GpuImpl<GpuRopeKvArgs> kGpuRopeKvSm80;

}  // namespace tern
