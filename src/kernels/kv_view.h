// One layer of a paged KV cache on the CPU. Plain struct: ISA files include this.
//
// The pool is an array of blocks of `block_bytes` opaque bytes. Inside a block, this layer's keys start at k_offset and
// its values at v_offset:
//   keys    [kv_heads, head_dim, block_tokens]   transposed, so that one vector load holds one dimension of many keys
//   values  [kv_heads, block_tokens, head_dim]
// Elements are f32, f16 or bf16 (`element_bytes` 4 or 2).
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/format_id.h"

namespace tern {

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
};

}  // namespace tern
