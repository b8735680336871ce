// Attention of decoding steps on a GPU: sequences with a few query tokens each (1, or the tokens that a verification
// checks) over a paged KV cache. Bound by reading K and V once. out[t, h] = softmax(scale * q[t, h] . K) V over the
// keys at positions up to the token's own and, with a window, not before the last `window` of them. With a cap, scores
// are cap * tanh(score / cap); a sink is one more score of its head, without a value. Plain: CUDA files include this.
//
// A row is a pair (query token, query head of one KV head's group): row r of a sequence is token r / group, head
// r % group; all rows of a KV head are computed together. Keys come in chunks of kDecodeChunk positions counted from 0;
// the (max, sum, output) of chunks are merged along one binary tree over absolute chunk numbers: node i of level l
// joins nodes 2 i and 2 i + 1 of level l - 1. A unit of work is one node, so that a row's bits depend on its query, its
// position and its keys alone, however the plan cuts the contexts and whatever else is in the batch.
//
// The plan (decode_attention_plan.h) is made once a step for all layers. Any thread, one stream at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cost.h"

namespace tern {

enum class DecodeKv : uint8_t {
  kBf16,
  kFp8,  // e4m3, an f32 scale for each token and KV head, of keys and of values
};

// 64 KiB of bf16 keys and values at head_dim 128: a multiprocessor's share of a context of 1k with 8 KV heads, and a
// multiple of what hides the memory's latency.
inline constexpr int32_t kDecodeChunk = 128;
// A unit is a node of at most this level (8,192 keys); what joins the units of a context has as many levels again.
inline constexpr int32_t kDecodeLevels = 6;
inline constexpr int32_t kDecodeMaxKeys = kDecodeChunk << 2 * kDecodeLevels;  // 524,288
inline constexpr int32_t kDecodeMaxRows = 32;                                 // of a unit

struct DecodeAttentionDesc {
  int32_t heads;
  int32_t kv_heads;
  int32_t head_dim;
  int32_t block_tokens;  // 16, 32, 64, ...
  DecodeKv kv;
  float scale;
  int32_t window = 0;  // keys that a token sees at most, itself among them; 0: all
  float soft_cap = 0;  // 0: none
};

// One layer of a paged cache. Block b begins at pool + b * block_bytes; in it lie this layer's keys and values, each
// [kv_heads, block_tokens, head_dim], and of kFp8 their scales, f32 [kv_heads, block_tokens]. Offsets and block_bytes
// are multiples of 256. Slots behind a context's end may hold anything, and what lies before a window is not read, but
// for the block that it begins in.
struct DecodeKvView {
  const void* pool;  // 256-byte aligned
  int64_t blocks;
  int64_t block_bytes;
  int64_t k_offset, v_offset;
  int64_t k_scale_offset = 0, v_scale_offset = 0;
};

// How a layer lies in its share of a block: codes of keys, of values, then the scales of kFp8.
struct DecodeKvLayout {
  int64_t codes;   // bytes of the keys
  int64_t scales;  // bytes of the keys' scales
  int64_t bytes() const { return (2 * (codes + scales) + 255) / 256 * 256; }
};

constexpr DecodeKvLayout decode_kv_layout(DecodeKv kv, int64_t kv_heads, int64_t head_dim, int64_t block_tokens) {
  const int64_t rows = kv_heads * block_tokens;
  if (kv == DecodeKv::kBf16) return {.codes = rows * head_dim * 2, .scales = 0};
  return {.codes = rows * head_dim, .scales = rows * 4};
}

// One layer of a pool, whose share of each block begins at `offset`.
constexpr DecodeKvView decode_kv_view(const DecodeKvLayout& layout, const void* pool, int64_t blocks,
                                      int64_t block_bytes, int64_t offset) {
  return {.pool = pool,
          .blocks = blocks,
          .block_bytes = block_bytes,
          .k_offset = offset,
          .v_offset = offset + layout.codes,
          .k_scale_offset = offset + 2 * layout.codes,
          .v_scale_offset = offset + 2 * layout.codes + layout.scales};
}

// What a thread block does at once: some rows of one KV head of one sequence over the chunks of one node.
struct alignas(16) DecodeUnit {
  int32_t sequence;     // row of the block tables
  int32_t query_begin;  // row of q and out where the sequence's first query token is
  int32_t history;      // position of that token
  int32_t keys;         // of the sequence: history + query tokens
  int32_t kv_head;
  int32_t first_row, rows;
  int32_t first_chunk, chunks;  // of the node; chunks 0: the thread block has no more units
  int32_t skip;                 // chunks of the node that no row sees: before all windows
  int32_t first_node, nodes;    // units that share these rows are [first_node, nodes); one alone: nothing to join
  int32_t node;                 // which of them this is
  int32_t slot;                 // in the workspace, of node first_node; the others follow
  int32_t first_key;            // that any row sees
  int32_t unused;
};
static_assert(sizeof(DecodeUnit) == 64);

// All pointers are device memory. What the launch before may write, where launches overlap: q, and K and V at positions
// from `history` on. Everything else was written before the last launch that did not overlap.
struct DecodeAttentionArgs {
  DecodeAttentionDesc desc;
  DecodeKvView kv;
  const void* q;     // bf16 [tokens, q_stride], heads * head_dim columns; 16-byte aligned, q_stride a multiple of 8
  int64_t q_stride;  // elements
  void* out;         // bf16 [tokens, out_stride], heads * head_dim columns; 4-byte aligned, out_stride even
  int64_t out_stride;
  const float* sinks;           // [heads]; null: none
  const int32_t* block_tables;  // [sequences, table_stride]
  int64_t table_stride;
  const DecodeUnit* units;  // [rounds + 1, thread_blocks], of the plan; a captured graph reads them anew each time
  int32_t thread_blocks;    // as planned
  int32_t rows;             // of a unit at most, as planned: 8, 16 or 32
  // workspace_bytes(desc, rows, slots); zeroed once before its first use, afterwards each launch leaves it fit for the
  // next.
  std::byte* workspace;
  int32_t slots;
  bool overlap;  // start while the launch before still runs, and fetch the history before waiting for it
};

struct DecodeAttentionImpl {
  const char* name;  // "sm90_bf16_128"
  bool (*supports)(const DecodeAttentionDesc&);
  // That run beside each other on this device, for units of `rows` rows: what to plan for.
  int32_t (*thread_blocks)(int32_t rows);
  uint64_t (*workspace_bytes)(const DecodeAttentionDesc&, int32_t rows, int32_t slots);
  // Enqueues on `stream` (a cudaStream_t); returns a cudaError_t as int, 0 for success.
  int (*run)(const DecodeAttentionArgs&, void* stream);
  // Of a step with `tokens` query tokens whose sequences have `keys` keys in all.
  Cost (*cost)(const DecodeAttentionDesc&, int64_t tokens, int64_t keys);
};

struct DecodeAttentionImplSpan {
  const DecodeAttentionImpl* rows;
  int count;
};

// Empty in none_sm90.cpp.
extern const DecodeAttentionImplSpan kDecodeAttentionSm90;

}  // namespace tern
