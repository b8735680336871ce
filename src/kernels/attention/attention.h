// The attention family: causal attention of a ragged batch over a paged KV cache, with online softmax; memory linear in
// the context. out[t, h] = softmax(scale * q[t, h] . K) V over the keys that token t may see.
//
// Grouped queries: query heads [g * heads / kv_heads, ...) share KV head g. Keys are visited in absolute tiles and
// chunks (kAttentionChunk positions, counted from position 0), each chunk's (max, sum, output) merged in order, so that
// a result does not depend on how the prompt was chunked, on the batch, or on how many workers split a long context.
// Called by all workers of a team together; K and V of the batch's own tokens are already in the cache.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/function_ref.h"
#include "core/thread_pool.h"
#include "kernels/attention/attention_impl.h"
#include "kernels/batch_shape.h"
#include "kernels/cost.h"
#include "kernels/kv_view.h"
#include "kernels/selection.h"

namespace tern {

struct AttentionArgs {
  const float* q;  // [tokens, q_stride]; heads * head_dim columns
  int64_t q_stride;
  float* out;  // [tokens, heads * head_dim]
  KvLayerView kv;
  BatchShape batch;
  std::byte* workspace;                           // at least workspace_bytes()
  FunctionRef<void(int32_t kv_head)> ready = {};  // waits until that head may be read; null: all may
};

class Attention {
 public:
  Attention(const AttentionDesc& desc, Format kv_format, const KernelSelection& selection);
  // With one row of the table, or one that is in none, whatever the processor has.
  Attention(const AttentionDesc& desc, Format kv_format, const AttentionImpl& impl);
  // For any number of tokens and a longest history + query of `context`, split among `workers`.
  uint64_t workspace_bytes(int64_t context, int workers) const;
  void run(const AttentionArgs& args, const Team& team) const;
  // The two halves of run() for one worker, a barrier of all workers between them: its chunks, then its share of
  // merging the rows that several workers split. compute() tells (every worker the same) whether merge() has anything
  // to do.
  bool compute(const AttentionArgs& args, int worker, int workers) const;
  void merge(const AttentionArgs& args, int worker, int workers) const;
  Cost cost(const BatchShape& batch) const;
  std::string kernel_name() const;
  const AttentionDesc& desc() const { return desc_; }

 private:
  AttentionDesc desc_;
  Format kv_format_;
  const AttentionImpl* impl_;
};

std::vector<KernelListing> attention_listing();

}  // namespace tern
