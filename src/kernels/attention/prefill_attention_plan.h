// The plan of a step's prompts: which thread block computes which strips (prefill_attention.h). Pure host code, made
// once a step for all layers. What a plan decides is time only, never a bit of the result.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/attention/prefill_attention.h"
#include "kernels/batch_shape.h"

namespace tern {

struct PrefillAttentionPlan {
  std::vector<PrefillUnit> units;  // [rounds + 1, thread_blocks]; the last row is empty
  int32_t rounds = 0;
  int32_t thread_blocks = 0;
};

// `strips` and `thread_blocks` as the kernel says. Sequences without query tokens are left out.
PrefillAttentionPlan plan_prefill_attention(const PrefillAttentionDesc& desc, const BatchShape& batch, int32_t strips,
                                            int32_t thread_blocks);

// Pairs of a query token and a key that it sees, over the batch.
double prefill_attention_pairs(const PrefillAttentionDesc& desc, const BatchShape& batch);

}  // namespace tern
