// One layer of a paged KV cache on the CPU. Plain struct: ISA files include this.
//
// The pool is an array of blocks of `block_bytes` opaque bytes. Inside a block, this layer's keys start at k_offset and
// its values at v_offset. Of f32, f16 or bf16 (`element_bytes` 4 or 2):
//   keys    [kv_heads, head_dim, block_tokens]   transposed, so that one vector load holds one dimension of many keys
//   values  [kv_heads, block_tokens, head_dim]
// Of int8 (quant/kv_int8.h; head_dim a multiple of 4), four codes that one integer dot product sums lie together:
//   keys    [kv_heads, head_dim / 4, block_tokens, 4]   code + 128: the instruction multiplies unsigned by signed
//   values  [kv_heads, block_tokens / 4, head_dim, 4]   four tokens' codes of a dimension
//   scales  [kv_heads, block_tokens] f32, the keys' at k_scale_offset, the values' at v_scale_offset
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/format_id.h"

namespace tern {

// Elements of a key, or value, at most: 576 of a latent with its rotated part, in whole vectors.
inline constexpr int32_t kMaxHeadDim = 640;

struct KvLayerView {
  std::byte* pool;
  int64_t block_bytes;
  int64_t k_offset;
  int64_t v_offset;
  int32_t block_tokens;  // a power of two, at least 16
  int32_t kv_heads;
  int32_t head_dim;
  int32_t element_bytes;
  Format format;
  int64_t k_scale_offset = 0;  // int8 only
  int64_t v_scale_offset = 0;
};

// Layer `layer` of a group inside its blocks: keys, values, then the scales of both. Static: ISA files include this.
static inline KvLayerView kv_layer_view(std::byte* pool, int64_t layers, int64_t layer, Format format,
                                        int64_t element_bytes, int64_t scale_bytes, int64_t kv_heads, int64_t head_dim,
                                        int64_t block_tokens) {
  const int64_t codes = kv_heads * head_dim * block_tokens * element_bytes;  // of k or v
  const int64_t scales = kv_heads * block_tokens * scale_bytes;
  KvLayerView view{};
  view.pool = pool;
  view.block_bytes = layers * 2 * (codes + scales);
  view.k_offset = layer * 2 * (codes + scales);
  view.v_offset = view.k_offset + codes;
  view.k_scale_offset = view.v_offset + codes;
  view.v_scale_offset = view.k_scale_offset + scales;
  view.block_tokens = static_cast<int32_t>(block_tokens);
  view.kv_heads = static_cast<int32_t>(kv_heads);
  view.head_dim = static_cast<int32_t>(head_dim);
  view.element_bytes = static_cast<int32_t>(element_bytes);
  view.format = format;
  return view;
}

}  // namespace tern
