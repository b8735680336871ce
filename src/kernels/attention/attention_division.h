// How a batch's attention is cut into items, and items among workers. Pure; the same for every worker. Used by
// attention.cpp alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

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
  // Many rows are cut among workers between rows: each loads the keys for its own, but nothing has to be merged. Few
  // rows are cut between chunks of keys.
  bool cut_by_rows() const { return rows() > kAttentionRows; }
  int64_t first_key(int64_t chunk) const { return std::max(key_begin / 16 * 16, chunk * kAttentionChunk); }
};

// Rows [begin, end) and the keys they see.
inline void set_rows(const AttentionDesc& desc, Item& item, int64_t begin, int64_t end) {
  const int64_t group = desc.heads / desc.kv_heads, history = item.sequence->history_len;
  item.row_begin = begin;
  item.row_end = end;
  item.key_begin = first_visible_key(desc, history + begin / group);
  item.key_end = history + (end - 1) / group + 1;
  item.chunk_begin = item.key_begin / kAttentionChunk;
  item.chunk_end = (item.key_end + kAttentionChunk - 1) / kAttentionChunk;
}

// Whole tokens where they fit.
inline int64_t block_rows(const AttentionDesc& desc, const AttentionImpl& impl) {
  const int64_t group = desc.heads / desc.kv_heads;
  return group <= impl.block_rows ? impl.block_rows / group * group : impl.block_rows;
}

// KV heads that are walked together, chunk by chunk, by rows so few that memory decides: a block of the cache holds all
// heads of its tokens side by side, and what lies together is read together. Not where that leaves workers without a
// chunk. A row's numbers do not depend on it.
inline int32_t heads_together(const AttentionDesc& desc, const BatchShape& batch, int workers) {
  const int64_t group = desc.heads / desc.kv_heads;
  int64_t rows = 0, chunks = 0;
  for (int32_t s = 0; s < batch.sequence_count; ++s) {
    const SequenceSlice& sequence = batch.sequences[s];
    rows = std::max(rows, sequence.query_len * group);
    chunks += (static_cast<int64_t>(sequence.history_len) + sequence.query_len) / kAttentionChunk + 1;
  }
  constexpr int64_t kFewRows = 8, kChunksEach = 4;
  if (rows > kFewRows || chunks < kChunksEach * workers) return 1;
  return static_cast<int32_t>(std::clamp<int64_t>(kAttentionRows / std::max<int64_t>(rows, 1), 1, desc.kv_heads));
}

// Calls visit(item) for all items of the batch in order; returns their cost.
template <typename Visit>
int64_t for_each_item(const AttentionDesc& desc, const AttentionImpl& impl, const BatchShape& batch, int workers,
                      const Visit& visit) {
  const int64_t group = desc.heads / desc.kv_heads, step = block_rows(desc, impl);
  const int32_t together = heads_together(desc, batch, workers);
  int64_t start = 0;
  for (int32_t s = 0; s < batch.sequence_count; ++s) {
    const SequenceSlice& sequence = batch.sequences[s];
    const int64_t rows = sequence.query_len * group;
    for (int32_t head = 0; head < desc.kv_heads; head += together) {
      for (int64_t row = 0; row < rows; row += step) {
        Item item{.sequence = &sequence, .kv_head = head, .start = start};
        item.kv_heads = std::min(together, desc.kv_heads - head);
        set_rows(desc, item, row, std::min(row + step, rows));
        item.key_weight = item.kv_heads * (item.rows() + impl.load_rows);
        visit(item);
        start += item.cost();
      }
    }
  }
  return start;
}

// Equal shares of the cost. Cut between chunks: a chunk belongs to the worker in whose share its middle lies.
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
  // Of an item that is cut by rows: the first row of `worker`'s share, in steps of a tile's rows.
  int64_t row_cut(const Item& item, int64_t worker) const {
    constexpr int64_t kStep = 16;
    const int64_t before = total * worker - item.start * workers, all = item.cost() * workers;
    if (before <= 0) return item.row_begin;
    if (before >= all) return item.row_end;
    const int64_t steps = (before * item.rows() / all + kStep / 2) / kStep;
    return std::min(item.row_begin + steps * kStep, item.row_end);
  }
  // The worker's share of the item.
  std::optional<Item> share(const AttentionDesc& desc, const Item& item, int64_t worker) const {
    Item own = item;
    if (item.cut_by_rows()) {
      const int64_t begin = row_cut(item, worker), end = row_cut(item, worker + 1);
      if (begin >= end) return std::nullopt;
      set_rows(desc, own, begin, end);
      return own;
    }
    own.chunk_begin = cut(item, worker);
    own.chunk_end = cut(item, worker + 1);
    return own.chunk_begin < own.chunk_end ? std::optional(own) : std::nullopt;
  }
  // The chunk where the item is first cut among workers; chunk_begin when no two of them share a row.
  int64_t first_cut(const Item& item) const {
    if (item.cut_by_rows()) return item.chunk_begin;
    for (int64_t worker = item.start * workers / total + 1; worker < workers; ++worker) {
      if (total * worker >= (item.start + item.cost()) * workers) break;
      const int64_t chunk = cut(item, worker);
      if (chunk > item.chunk_begin && chunk < item.chunk_end) return chunk;
    }
    return item.chunk_begin;
  }
};

}  // namespace tern
