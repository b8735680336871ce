// How a table finds what the cache remembers of its tokens.
#include <algorithm>

#include "engine/kv/kv_cache.h"

namespace tern {

void KvCache::find_path(const KvTable& table, const TokenSpans& tokens, int64_t blocks) {
  path_.clear();
  PrefixNode node;
  for (int64_t i = 0; i < blocks; ++i) {
    tokens.copy(i * options_.block_tokens, tokens_);
    if (!index_.find({table.root, node, table.keys[static_cast<size_t>(i)], tokens_}, node)) return;
    path_.push_back(node);
  }
}

// The longest part of the path whose every group has the blocks that a query behind it reaches.
int64_t KvCache::usable_blocks() const {
  std::vector<int64_t> run(groups(), 0);  // blocks there without a gap, up to here
  int64_t best = 0;
  for (size_t i = 0; i < path_.size(); ++i) {
    const auto length = static_cast<int64_t>(i) + 1;
    bool usable = true;
    for (size_t g = 0; g < groups(); ++g) {
      run[g] = index_.block(path_[i], g) == kNoBlock ? 0 : run[g] + 1;
      usable = usable && run[g] >= length - first_block(g, length * options_.block_tokens);
    }
    if (usable) best = length;
  }
  return best;
}

int64_t KvCache::lookup(KvTable& table, const TokenSpans& tokens, int64_t limit) {
  if (!options_.prefix_caching) return 0;
  find_path(table, tokens, std::min(limit / options_.block_tokens, static_cast<int64_t>(table.keys.size())));
  const int64_t length = usable_blocks();
  if (length == 0) return 0;
  for (size_t g = 0; g < groups(); ++g) {
    KvTable::Group& group = table.groups[g];
    group.first = first_block(g, length * options_.block_tokens);
    group.blocks.assign(static_cast<size_t>(length), kNoBlock);
    for (int64_t i = group.first; i < length; ++i) {
      const int32_t block = index_.block(path_[static_cast<size_t>(i)], g);
      pools_[g].share(block);
      group.blocks[static_cast<size_t>(i)] = block;
    }
  }
  table.published = length;
  table.node = path_[static_cast<size_t>(length) - 1];
  return length * options_.block_tokens;
}

}  // namespace tern
