// What one implementation of the attention family exports: plain functions over one block of rows and one chunk of
// keys. ISA files include this. Every function is pure over its arguments; division of work and order of merging are
// attention.cpp's alone.
//
// A row is a pair (query token, query head of one KV head's group): row r of a sequence is token r / group, head
// r % group. Bits: a row's partial depends on its query, its position and its keys only, never on the rows beside it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cost.h"
#include "kernels/kv_view.h"

namespace tern {

// Positions a chunk: merging two partials costs about 60 cycles a row beside 2,000 for the 256 keys themselves (3 %),
// and two workers still share a context of 300 positions well when a model has an odd number of KV heads.
inline constexpr int64_t kAttentionChunk = 256;

// Rows a block of the vector kernels: 8 register tiles of 6 rows. K and V are widened to f32 once a block, 2 / 48 of
// its multiplications; q, scores and output of 48 rows at head_dim 64 are 36 KiB, in L2 beside the 16 KiB tile of keys
// in L1. Of any kernel, a piece whose keys several workers share has at most as many, since each chunk's partial is
// kept then.
inline constexpr int64_t kAttentionRows = 48;
inline constexpr int64_t kAttentionLoadRows = 4;

// Keys a tile, at absolute positions: 4 vectors of 16, enough independent sums for one row, one maximum a tile.
inline constexpr int64_t kAttentionTile = 64;

struct AttentionDesc {
  int32_t heads;
  int32_t kv_heads;
  int32_t head_dim;
  float scale;
  int64_t window = 0;  // keys further back than window - 1 are not seen; 0: all (see also `chunked`)
  float soft_cap = 0;  // cap * tanh(score / cap); 0: none
  // [heads] A score of each head beside its keys': it takes its share of the softmax and adds no value. Null: none.
  const float* sinks = nullptr;
  bool chunked = false;  // windows do not move: a row sees keys of its own multiple of `window` alone
};

// One chunk's (or several merged chunks') share of a softmax, a row each. sum 0: the row sees no key there.
struct AttentionPartial {
  float* max;  // [rows]
  float* sum;  // [rows]
  float* out;  // [rows, head_dim], not yet divided by sum
};

struct AttentionBlock {
  AttentionDesc desc;
  KvLayerView kv;
  const int32_t* block_table;
  const float* q;  // [sequence's query tokens, q_stride]
  int64_t q_stride;
  float* out;                  // [sequence's query tokens, heads * head_dim]
  int64_t history;             // position of the sequence's first query token
  int64_t row_begin, row_end;  // at most block_rows
  int32_t kv_head;
  std::byte* scratch;  // scratch_bytes(desc), 64-byte aligned; lives from begin() to the last chunk()
  // Blocks of several KV heads may live in one scratch: rows before this one's. At most block_rows in all.
  int64_t scratch_row;
  // What the worker reads after the chunk, so that it can be asked for in time. The key is one that the block's rows
  // see, or lies in one 16-key part with it.
  int32_t next_kv_head;
  int64_t next_key;
};

struct AttentionImpl {
  const char* name;
  uint32_t needs;      // IsaBits
  uint32_t fast_with;  // IsaBits: where one is missing the row runs, but the others go before it
  Arithmetic arithmetic;
  int64_t block_rows;  // rows of all KV heads' blocks in one scratch, at most; kAttentionRows or more
  int64_t load_rows;   // loading a key and its value once a block costs about as much as this many rows' arithmetic
  bool (*supports)(const AttentionDesc&, Format kv_format);
  uint64_t (*scratch_bytes)(const AttentionDesc&);
  // Once a block, before its chunks.
  void (*begin)(const AttentionBlock&);
  // Keys [chunk, chunk + 1) * kAttentionChunk: fills `partial` for all rows of the block.
  void (*chunk)(const AttentionBlock&, int64_t chunk, const AttentionPartial& partial);
  // into = into then from, for rows [begin, end).
  void (*merge)(const AttentionPartial& into, const AttentionPartial& from, int64_t begin, int64_t end,
                int64_t head_dim);
  // Divides by the sums, which heads' sinks enlarge, and writes the block's rows [begin, end), counted from row_begin.
  void (*finish)(const AttentionBlock&, const AttentionPartial&, int64_t begin, int64_t end);
};

struct AttentionImplSpan {
  const AttentionImpl* rows;
  int count;
};

extern const AttentionImplSpan kAttentionAmx;
extern const AttentionImplSpan kAttentionAvx512;
extern const AttentionImplSpan kAttentionAvx2;
extern const AttentionImplSpan kAttentionRef;

// Keys that the row of a query token at `position` sees: [first, position]. Static: ISA files include this.
static inline int64_t first_visible_key(const AttentionDesc& desc, int64_t position) {
  if (desc.chunked) return position / desc.window * desc.window;
  return desc.window > 0 && position >= desc.window ? position - desc.window + 1 : 0;
}

}  // namespace tern
