// Attention of prompts on a GPU: sequences with many query tokens each (a prompt or a piece of one) over a paged KV
// cache. Bound by the matrix unit. out[t, h] = softmax(scale * q[t, h] . K) V over the keys at positions up to the
// token's own and, with a window, behind position - window; caps and sinks as decode_attention.h says. Memory beside
// inputs and outputs: none. Of an FP8 cache, keys and values times their scales are rounded to bf16. Plain: CUDA files
// include this.
//
// A strip is kPrefillStrip consecutive tokens of one sequence under one query head: the rows of one warpgroup. Strip i
// of a KV head is head i % group, tokens from i / group * kPrefillStrip on, so that strips of the same tokens are
// neighbours, and share keys and values as well as the shape of their mask. A unit of work is a few consecutive strips.
// Keys are taken in blocks of kPrefillKeys at absolute positions, the last one first, and what a row does not see
// changes none of its bits: they depend on its query, position and keys alone, in any company and however the prompt
// was cut.
//
// The plan (prefill_attention_plan.h) is made once a step for all layers. Any thread, one stream at a time.
#pragma once

#include <cstdint>

#include "kernels/attention/decode_attention.h"
#include "kernels/batch_shape.h"
#include "kernels/cost.h"

namespace tern {

inline constexpr int32_t kPrefillStrip = 64;  // rows of a warpgroup's matrix instruction
inline constexpr int32_t kPrefillPage = 64;   // keys of a copy; a cache's block holds whole pages
inline constexpr int32_t kPrefillKeys = 128;  // keys of a product: two pages, or the last one alone

struct PrefillAttentionDesc {
  int32_t heads;
  int32_t kv_heads;
  int32_t head_dim;
  int32_t block_tokens;  // a multiple of kPrefillPage
  int32_t window;        // keys that a token sees at most, itself among them; 0: all
  float scale;           // > 0
  float soft_cap = 0;    // 0: none
  DecodeKv kv = DecodeKv::kBf16;
};

// What a thread block does at once: `strips` strips of one KV head of one sequence, as many as the kernel has.
struct alignas(16) PrefillUnit {
  int32_t sequence;     // row of the block tables
  int32_t query_begin;  // row of q and out where the sequence's first query token is
  int32_t query_len;
  int32_t history;  // position of that token
  int32_t kv_head;
  int32_t first_strip;
  int32_t first_page, end_page;  // that any of the strips sees; end_page 0: the thread block has no more units
};

// All pointers are device memory.
struct PrefillAttentionArgs {
  PrefillAttentionDesc desc;
  DecodeKvView kv;   // entries of the block tables behind a window are not read
  const void* q;     // bf16 [tokens, q_stride], heads * head_dim columns; 16-byte aligned, q_stride a multiple of 8
  int64_t q_stride;  // elements
  void* out;         // bf16 [tokens, out_stride], heads * head_dim columns; aligned as q
  int64_t out_stride;
  const float* sinks;  // [heads]; null: none
  int64_t tokens;
  const int32_t* block_tables;  // [sequences, table_stride]
  int64_t table_stride;
  const PrefillUnit* units;  // [rounds + 1, thread_blocks], of the plan
  int32_t thread_blocks;     // as planned
};

struct PrefillAttentionImpl {
  const char* name;  // "sm90_bf16_128"
  int32_t strips;    // of a unit: what to plan for
  bool (*supports)(const PrefillAttentionDesc&);
  // That run beside each other on this device: what to plan for.
  int32_t (*thread_blocks)();
  // Enqueues on `stream` (a cudaStream_t); returns a cudaError_t as int, 0 for success.
  int (*run)(const PrefillAttentionArgs&, void* stream);
  // Of what a mask leaves, whatever else the kernel multiplies.
  Cost (*cost)(const PrefillAttentionDesc&, const BatchShape&);
};

struct PrefillAttentionImplSpan {
  const PrefillAttentionImpl* rows;
  int count;
};

// Empty in none_sm90.cpp.
extern const PrefillAttentionImplSpan kPrefillAttentionSm90;

}  // namespace tern
