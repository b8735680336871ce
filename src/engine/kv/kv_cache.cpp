#include "engine/kv/kv_cache.h"

#include <algorithm>
#include <bit>

#include "core/error.h"

namespace tern {
namespace {

std::vector<int32_t> sizes(const std::vector<KvGroup>& groups) {
  std::vector<int32_t> out;
  for (const KvGroup& group : groups) out.push_back(group.blocks);
  return out;
}

}  // namespace

void TokenSpans::copy(int64_t begin, std::span<int32_t> out) const {
  const auto split = static_cast<int64_t>(prompt.size());
  for (size_t i = 0; i < out.size(); ++i) {
    const int64_t at = begin + static_cast<int64_t>(i);
    out[i] = at < split ? prompt[static_cast<size_t>(at)] : answer[static_cast<size_t>(at - split)];
  }
}

KvCache::KvCache(const KvOptions& options)
    : options_(options),
      own_hasher_(options.hasher == nullptr ? std::make_unique<Sha256BlockHasher>() : nullptr),
      index_(sizes(options.groups), options.block_tokens),
      tokens_(static_cast<size_t>(options.block_tokens)) {
  TERN_CHECK(options.block_tokens > 0 && std::has_single_bit(static_cast<uint64_t>(options.block_tokens)));
  TERN_CHECK(!options.groups.empty());
  if (own_hasher_) options_.hasher = own_hasher_.get();
  for (const KvGroup& group : options.groups) pools_.emplace_back(group.blocks);
}

KvTable KvCache::table(std::string_view salt) const {
  KvTable table;
  table.root = prefix_root(options_.model, options_.adapter, salt);
  table.groups.resize(groups());
  table.publishes = options_.prefix_caching;
  return table;
}

void KvCache::reserve(KvTable& table, int64_t tokens) const {
  const auto blocks = static_cast<size_t>(blocks_of(tokens));
  if (options_.prefix_caching) table.keys.reserve(blocks);
  for (KvTable::Group& group : table.groups) group.blocks.reserve(blocks);
}

void KvCache::name_blocks(KvTable& table, const TokenSpans& tokens) {
  if (!options_.prefix_caching) return;
  const auto full = static_cast<size_t>(tokens.size() / options_.block_tokens);
  while (table.keys.size() < full) {
    tokens.copy(static_cast<int64_t>(table.keys.size()) * options_.block_tokens, tokens_);
    table.keys.push_back(options_.hasher->key(table.keys.empty() ? table.root : table.keys.back(), tokens_));
  }
}

int64_t KvCache::first_block(size_t group, int64_t computed) const {
  const int64_t window = options_.groups[group].window;
  if (window == 0 || computed < window) return 0;
  const int64_t position = computed - window + 1;
  return position / options_.reach_tokens * options_.reach_tokens / options_.block_tokens;
}

// ---- room ----

int64_t KvCache::lacking(const KvTable& table, size_t group, int64_t tokens) const {
  const KvTable::Group& held = table.groups[group];
  const int64_t window = options_.groups[group].window;
  int64_t most = blocks_of(tokens);
  if (window > 0) {
    most = std::min(most, blocks_of(window + options_.max_step_tokens + options_.reach_tokens) + 1);
  }
  return std::max<int64_t>(most - held.held(), 0);
}

int64_t KvCache::lacking(const KvTable& table, int64_t tokens) const {
  int64_t most = 0;
  for (size_t g = 0; g < groups(); ++g) most = std::max(most, lacking(table, g, tokens));
  return most;
}

bool KvCache::has_room(const KvTable& table, int64_t tokens, int64_t spare) const {
  for (size_t g = 0; g < groups(); ++g) {
    if (lacking(table, g, tokens) + spare > pools_[g].available()) return false;
  }
  return true;
}

bool KvCache::grow(KvTable& table, int64_t tokens) {
  const int64_t wanted = blocks_of(tokens);
  for (size_t g = 0; g < groups(); ++g) {
    if (wanted - static_cast<int64_t>(table.groups[g].blocks.size()) > pools_[g].available()) return false;
  }
  for (size_t g = 0; g < groups(); ++g) {
    std::vector<int32_t>& blocks = table.groups[g].blocks;
    while (static_cast<int64_t>(blocks.size()) < wanted) blocks.push_back(allocate(g));
  }
  return true;
}

int32_t KvCache::allocate(size_t group) {
  const auto allocation = pools_[group].allocate();
  TERN_CHECK(allocation.has_value());
  if (allocation->evicted) index_.drop_block(group, allocation->block);
  return allocation->block;
}

// ---- life of a table ----

void KvCache::publish(KvTable& table, const TokenSpans& tokens, int64_t written) {
  if (!table.publishes) return;
  const int64_t full = written / options_.block_tokens;
  if (table.published >= full) return;
  name_blocks(table, {tokens.prompt, tokens.answer});
  // Where another sequence's equal block was remembered and has been evicted since, the path is offered anew.
  if (!index_.alive(table.node)) {
    table.published = 0;
    table.node = {};
  }
  while (table.published < full && offer(table, tokens, table.published)) ++table.published;
}

// One more block of the path; false when it cannot be remembered.
bool KvCache::offer(KvTable& table, const TokenSpans& tokens, int64_t block) {
  const auto at = static_cast<size_t>(block);
  tokens.copy(block * options_.block_tokens, tokens_);
  const PrefixIndex::Name name{table.root, table.node, table.keys[at], tokens_};
  PrefixNode node;
  const bool known = index_.find(name, node);
  if (!known) {
    const bool any = std::any_of(table.groups.begin(), table.groups.end(),
                                 [&](const KvTable::Group& group) { return group.blocks[at] != kNoBlock; });
    if (!any || !index_.insert(name, node)) return false;
  }
  for (size_t g = 0; g < groups(); ++g) {
    const int32_t mine = table.groups[g].blocks[at];
    if (mine != kNoBlock && index_.block(node, g) == kNoBlock && !index_.holds(g, mine)) {
      index_.set_block(node, g, mine);
    }
  }
  table.node = node;
  return true;
}

void KvCache::trim(KvTable& table, int64_t computed) {
  for (size_t g = 0; g < groups(); ++g) {
    KvTable::Group& group = table.groups[g];
    const int64_t first = std::min(first_block(g, computed), static_cast<int64_t>(group.blocks.size()));
    for (; group.first < first; ++group.first) {
      int32_t& block = group.blocks[static_cast<size_t>(group.first)];
      pools_[g].release(block, index_.holds(g, block));
      block = kNoBlock;
    }
  }
}

bool KvCache::fork(const KvTable& from, int64_t tokens, KvTable& to, std::vector<BlockCopy>& copies) {
  const auto full = static_cast<size_t>(tokens / options_.block_tokens);
  const bool partial = tokens % options_.block_tokens != 0;
  for (const BlockPool& pool : pools_) {
    if (partial && pool.available() == 0) return false;
  }
  for (size_t g = 0; g < groups(); ++g) {
    const KvTable::Group& source = from.groups[g];
    KvTable::Group& group = to.groups[g];
    group.first = source.first;
    group.blocks.assign(source.blocks.begin(), source.blocks.begin() + static_cast<int64_t>(full));
    for (const int32_t block : group.blocks) {
      if (block != kNoBlock) pools_[g].share(block);
    }
    if (partial) {
      group.blocks.push_back(allocate(g));
      copies.push_back({static_cast<int32_t>(g), source.blocks[full], group.blocks.back()});
    }
  }
  to.keys = from.keys;
  if (from.published <= static_cast<int64_t>(full)) {
    to.published = from.published;
    to.node = from.node;
  }
  return true;
}

void KvCache::release(KvTable& table) {
  for (size_t g = 0; g < groups(); ++g) {
    KvTable::Group& group = table.groups[g];
    for (size_t i = group.blocks.size(); i-- > static_cast<size_t>(group.first);) {
      pools_[g].release(group.blocks[i], index_.holds(g, group.blocks[i]));
    }
    group.blocks.clear();
    group.first = 0;
  }
  table.published = 0;
  table.node = {};
}

void KvCache::withdraw(KvTable& table) {
  table.publishes = false;
  // What it holds, and what windows have made it give back since that was published.
  path_.clear();
  if (index_.alive(table.node)) {
    for (PrefixNode node = table.node; !node.is_root(); node = index_.parent(node)) path_.push_back(node);
  }
  for (size_t g = 0; g < groups(); ++g) {
    for (const int32_t block : table.groups[g].blocks) {
      if (block != kNoBlock) index_.drop_block(g, block);
    }
    for (const PrefixNode node : path_) {
      const int32_t block = index_.alive(node) ? index_.block(node, g) : kNoBlock;
      if (block == kNoBlock) continue;
      index_.drop_block(g, block);
      pools_[g].forget(block);
    }
  }
}

}  // namespace tern
