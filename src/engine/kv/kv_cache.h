// The KV cache as the scheduler sees it: sequences' block tables over one pool a cache group, and the memory of earlier
// prefixes. It moves numbers of blocks; the runner owns the bytes. Engine thread only.
//
// A table covers positions [0, capacity) in each group. Full blocks may be shared, and are then never written; the
// last, partly filled block has one owner. What a table holds stays until it is given back. Contents become findable
// when publish() is told that they are written, and not before. Finding and pinning are one step: what lookup() returns
// has been referenced. Unreferenced findable blocks stay until a table grows into them, longest released first; a table
// gives its blocks back from its end, so tails go before heads.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/kv/block_hash.h"
#include "engine/kv/block_pool.h"
#include "engine/kv/prefix_index.h"

namespace tern {

// One cache group of the program, as the runner has reserved it.
struct KvGroup {
  int32_t blocks = 0;
  int64_t window = 0;  // a query sees this many positions, its own included; 0: all before it
};

struct KvOptions {
  std::vector<KvGroup> groups;
  int64_t block_tokens = 16;      // a power of two
  int64_t max_step_tokens = 512;  // that one sequence may be given in a step
  int64_t reach_tokens = 64;      // kernels read whole tiles of so many positions: a window is kept from a tile's start
  bool prefix_caching = true;     // off: nothing is published, so nothing is found
  std::string model, adapter;     // whose keys and values these are: part of every prefix's root
  BlockHasher* hasher = nullptr;  // null: SHA-256
};

// A sequence's tokens, in two pieces.
struct TokenSpans {
  std::span<const int32_t> prompt, answer;
  int64_t size() const { return static_cast<int64_t>(prompt.size() + answer.size()); }
  void copy(int64_t begin, std::span<int32_t> out) const;
};

struct KvTable {
  struct Group {
    std::vector<int32_t> blocks;  // [position / block_tokens]; kNoBlock before `first`
    int64_t first = 0;            // what lies before is out of the window's reach and given back
    int64_t held() const { return static_cast<int64_t>(blocks.size()) - first; }
  };
  BlockKey root{};
  std::vector<BlockKey> keys;  // of the leading full blocks, as far as they have been needed
  std::vector<Group> groups;
  int64_t published = 0;  // leading blocks that the index has been offered
  PrefixNode node;        // of the last of them
  bool publishes = true;
};

// Bytes of block `from` go to block `to`, before the writes of the next step, in the order of the list.
struct BlockCopy {
  int32_t group, from, to;
};

class KvCache {
 public:
  static constexpr int32_t kNoBlock = PrefixIndex::kNoBlock;

  explicit KvCache(const KvOptions& options);

  int64_t block_tokens() const { return options_.block_tokens; }
  size_t groups() const { return pools_.size(); }
  const BlockPool& pool(size_t group) const { return pools_[group]; }
  const PrefixIndex& index() const { return index_; }

  // An empty table for a request; `salt` is opaque.
  KvTable table(std::string_view salt) const;
  // Memory for a sequence of so many tokens, so that a running one allocates nothing.
  void reserve(KvTable& table, int64_t tokens) const;
  // Names the full blocks of `tokens`, as far as they have no name yet.
  void name_blocks(KvTable& table, const TokenSpans& tokens);

  // Puts the longest findable prefix of at most `limit` tokens into an empty, named table; returns its tokens.
  int64_t lookup(KvTable& table, const TokenSpans& tokens, int64_t limit);

  // Blocks that the table lacks to bring a sequence to `tokens` positions, in the group that lacks most.
  int64_t lacking(const KvTable& table, int64_t tokens) const;
  // Are they there, beside `spare` others?
  bool has_room(const KvTable& table, int64_t tokens, int64_t spare) const;
  // Extends the table to cover `tokens` positions; false, and nothing has changed, when a pool has not enough.
  bool grow(KvTable& table, int64_t tokens);

  // The first `written` positions have been written: their full blocks become findable.
  void publish(KvTable& table, const TokenSpans& tokens, int64_t written);
  // No query before position `computed` will follow: gives back what windows no longer reach.
  void trim(KvTable& table, int64_t computed);
  // An empty table gets the first `tokens` positions of another: full blocks shared, the last partial one as a copy of
  // its own, which goes to `copies`. False, and nothing has changed, when there is no block for that.
  bool fork(const KvTable& from, int64_t tokens, KvTable& to, std::vector<BlockCopy>& copies);
  // Gives everything back. Names stay.
  void release(KvTable& table);
  // What the table holds or has published must not be found (its numbers were not finite).
  void withdraw(KvTable& table);

 private:
  int64_t blocks_of(int64_t tokens) const { return (tokens + options_.block_tokens - 1) / options_.block_tokens; }
  // The first block that a query at position `computed` or later reaches.
  int64_t first_block(size_t group, int64_t computed) const;
  int64_t lacking(const KvTable& table, size_t group, int64_t tokens) const;
  void find_path(const KvTable& table, const TokenSpans& tokens, int64_t blocks);
  int64_t usable_blocks() const;
  int32_t allocate(size_t group);
  bool offer(KvTable& table, const TokenSpans& tokens, int64_t block);

  KvOptions options_;
  std::unique_ptr<BlockHasher> own_hasher_;
  std::vector<BlockPool> pools_;
  PrefixIndex index_;
  std::vector<PrefixNode> path_;  // scratch of lookup()
  std::vector<int32_t> tokens_;   // scratch: one block
};

}  // namespace tern
