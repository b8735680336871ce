// The plan of a decoding step's attention: which thread block computes which nodes of the contexts. Pure host code,
// made once a step for all layers. What a plan decides is time only, never a bit of the result (decode_attention.h).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/attention/decode_attention.h"
#include "kernels/batch_shape.h"

namespace tern {

struct DecodeAttentionPlan {
  std::vector<DecodeUnit> units;  // [rounds + 1, thread_blocks]; the last row is empty
  int32_t rounds = 0;
  int32_t thread_blocks = 0;
  int32_t rows = 0;    // of a unit at most
  int32_t slots = 0;   // used in the workspace
  int32_t levels = 0;  // of the nodes that are units: 2^levels chunks
};

// The smallest of 8, 16 and 32 that holds the rows of `query_len` tokens, or 32: then the rows are cut.
int32_t decode_attention_rows(const DecodeAttentionDesc& desc, int32_t query_len);

// Slots that suffice for every batch whose sequences have at most `keys` keys in all.
int32_t decode_attention_slots(const DecodeAttentionDesc& desc, int32_t thread_blocks, int32_t query_len, int64_t keys);

// `thread_blocks` as the kernel says. Contexts of at most kDecodeMaxKeys keys.
DecodeAttentionPlan plan_decode_attention(const DecodeAttentionDesc& desc, const BatchShape& batch, int32_t rows,
                                          int32_t thread_blocks);

}  // namespace tern
