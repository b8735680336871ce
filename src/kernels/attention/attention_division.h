// How a batch's attention is cut into items, and items among workers. Pure; the same for every worker. Used by
// attention.cpp alone.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/attention/attention_impl.h"
#include "kernels/batch_shape.h"

namespace tern {

// The unit that is begun and finished as one: some rows of some KV heads of one sequence, over all the keys they see.
struct Item {
  const SequenceSlice* sequence;
  int32_t kv_head, kv_heads;  // the first, and how many
  int64_t row_begin, row_end;
  int64_t key_begin, key_end;
  int64_t chunk_begin, chunk_end;
  int64_t start;       // cost of all items before this one
  int64_t key_weight;  // cost of a key
  int64_t cost() const { return (key_end - key_begin) * key_weight; }
  int64_t rows() const { return row_end - row_begin; }  // of each KV head
  int64_t first_key(int64_t chunk) const { return std::max(key_begin / 16 * 16, chunk * kAttentionChunk); }
};

// Whole tokens where they fit.
inline int64_t block_rows(const AttentionDesc& desc, const AttentionImpl& impl) {
  const int64_t group = desc.heads / desc.kv_heads;
  return group <= impl.block_rows ? impl.block_rows / group * group : impl.block_rows;
}

// KV heads that are walked together, chunk by chunk, by rows so few that memory decides: a block of the cache holds all
// heads of its tokens side by side, and what lies together is read together. Not where that leaves workers without a
// chunk. A row's numbers do not depend on it.
inline int32_t heads_together(const AttentionDesc& desc, const AttentionImpl& impl, const BatchShape& batch,
                              int workers) {
  const int64_t group = desc.heads / desc.kv_heads;
  int64_t rows = 0, chunks = 0;
  for (int32_t s = 0; s < batch.sequence_count; ++s) {
    const SequenceSlice& sequence = batch.sequences[s];
    rows = std::max(rows, sequence.query_len * group);
    chunks += (static_cast<int64_t>(sequence.history_len) + sequence.query_len) / kAttentionChunk + 1;
  }
  constexpr int64_t kFewRows = 8, kChunksEach = 4;
  if (rows > kFewRows || chunks < kChunksEach * workers) return 1;
  return static_cast<int32_t>(std::clamp<int64_t>(impl.block_rows / std::max<int64_t>(rows, 1), 1, desc.kv_heads));
}

// Calls visit(item) for all items of the batch in order; returns their cost.
template <typename Visit>
int64_t for_each_item(const AttentionDesc& desc, const AttentionImpl& impl, const BatchShape& batch, int workers,
                      const Visit& visit) {
  const int64_t group = desc.heads / desc.kv_heads, step = block_rows(desc, impl);
  const int32_t together = heads_together(desc, impl, batch, workers);
  int64_t start = 0;
  for (int32_t s = 0; s < batch.sequence_count; ++s) {
    const SequenceSlice& sequence = batch.sequences[s];
    const int64_t rows = sequence.query_len * group;
    for (int32_t head = 0; head < desc.kv_heads; head += together) {
      for (int64_t row = 0; row < rows; row += step) {
        Item item{.sequence = &sequence, .kv_head = head, .row_begin = row, .start = start};
        item.kv_heads = std::min(together, desc.kv_heads - head);
        item.row_end = std::min(row + step, rows);
        item.key_begin = first_visible_key(desc, sequence.history_len + row / group);
        item.key_end = sequence.history_len + (item.row_end - 1) / group + 1;
        item.chunk_begin = item.key_begin / kAttentionChunk;
        item.chunk_end = (item.key_end + kAttentionChunk - 1) / kAttentionChunk;
        item.key_weight = item.kv_heads * (item.rows() + impl.load_rows);
        visit(item);
        start += item.cost();
      }
    }
  }
  return start;
}

// Equal shares of the cost, cut between chunks: a chunk belongs to the worker in whose share its middle lies.
struct Division {
  int64_t total;
  int64_t workers;

  // The first chunk of the item that lies at or after the beginning of `worker`'s share.
  int64_t cut(const Item& item, int64_t worker) const {
    const int64_t target = total * worker;  // in units of cost / workers
    if (target <= item.start * workers) return item.chunk_begin;
    if (target >= (item.start + item.cost()) * workers) return item.chunk_end;
    for (int64_t chunk = item.chunk_begin; chunk < item.chunk_end; ++chunk) {
      const int64_t begin = std::max(item.key_begin, chunk * kAttentionChunk) - item.key_begin;
      const int64_t end = std::min(item.key_end, (chunk + 1) * kAttentionChunk) - item.key_begin;
      if ((2 * item.start + (begin + end) * item.key_weight) * workers >= 2 * target) return chunk;
    }
    return item.chunk_end;
  }
  // Where the item is first cut among workers; chunk_begin when one worker has all of it.
  int64_t first_cut(const Item& item) const {
    for (int64_t worker = item.start * workers / total + 1; worker < workers; ++worker) {
      if (total * worker >= (item.start + item.cost()) * workers) break;
      const int64_t chunk = cut(item, worker);
      if (chunk > item.chunk_begin && chunk < item.chunk_end) return chunk;
    }
    return item.chunk_begin;
  }
};

}  // namespace tern
