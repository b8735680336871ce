#include "engine/kv/prefix_index.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "core/error.h"

namespace tern {

PrefixIndex::PrefixIndex(std::span<const int32_t> blocks, int64_t block_tokens)
    : groups_(blocks.size()), block_tokens_(static_cast<size_t>(block_tokens)) {
  // A node may outlive its blocks for the sake of its children (out of a window's reach, or evicted before them), so
  // there are more nodes than blocks; where they run out, something is just not remembered.
  const auto largest = static_cast<size_t>(blocks.empty() ? 0 : *std::max_element(blocks.begin(), blocks.end()));
  nodes_.resize(2 * largest);
  tokens_.resize(nodes_.size() * block_tokens_);
  blocks_.assign(nodes_.size() * groups_, kNoBlock);
  for (const int32_t count : blocks) node_of_.emplace_back(static_cast<size_t>(count), -1);
  buckets_.assign(std::bit_ceil(nodes_.size() + 1), -1);
  for (auto node = static_cast<int32_t>(nodes_.size()); node-- > 0;) free_.push_back(node);
}

size_t PrefixIndex::bucket(const BlockKey& key) const {
  uint64_t bits;
  std::memcpy(&bits, key.data(), sizeof bits);
  return bits & (buckets_.size() - 1);
}

bool PrefixIndex::find(const Name& name, PrefixNode& node) const {
  for (int32_t at = buckets_[bucket(name.key)]; at >= 0; at = nodes_[static_cast<size_t>(at)].next) {
    const Node& n = nodes_[static_cast<size_t>(at)];
    if (n.parent != name.parent.number || n.key != name.key || n.root != name.root) continue;
    const int32_t* tokens = &tokens_[static_cast<size_t>(at) * block_tokens_];
    if (!std::equal(name.tokens.begin(), name.tokens.end(), tokens)) continue;
    node = {at, n.life};
    return true;
  }
  return false;
}

bool PrefixIndex::insert(const Name& name, PrefixNode& node) {
  if (free_.empty()) return false;
  const int32_t at = free_.back();
  free_.pop_back();
  Node& n = nodes_[static_cast<size_t>(at)];
  n.root = name.root;
  n.key = name.key;
  n.parent = name.parent.number;
  n.used = true;
  std::copy(name.tokens.begin(), name.tokens.end(), tokens_.begin() + at * static_cast<int64_t>(block_tokens_));
  int32_t& first = buckets_[bucket(n.key)];
  n.next = first;
  first = at;
  if (n.parent >= 0) ++nodes_[static_cast<size_t>(n.parent)].children;
  node = {at, n.life};
  return true;
}

bool PrefixIndex::alive(PrefixNode node) const {
  return node.is_root() ||
         (nodes_[static_cast<size_t>(node.number)].used && nodes_[static_cast<size_t>(node.number)].life == node.life);
}

PrefixNode PrefixIndex::parent(PrefixNode node) const {
  const int32_t number = nodes_[static_cast<size_t>(node.number)].parent;
  return number < 0 ? PrefixNode{} : PrefixNode{number, nodes_[static_cast<size_t>(number)].life};
}

int32_t PrefixIndex::block(PrefixNode node, size_t group) const {
  return blocks_[static_cast<size_t>(node.number) * groups_ + group];
}

void PrefixIndex::set_block(PrefixNode node, size_t group, int32_t block) {
  int32_t& slot = *block_slot(node.number, group);
  int32_t& owner = node_of_[group][static_cast<size_t>(block)];
  TERN_CHECK(slot == kNoBlock && owner < 0, std::to_string(block));
  slot = block;
  owner = node.number;
  ++nodes_[static_cast<size_t>(node.number)].blocks;
}

void PrefixIndex::drop_block(size_t group, int32_t block) {
  int32_t& owner = node_of_[group][static_cast<size_t>(block)];
  if (owner < 0) return;
  const int32_t node = owner;
  owner = -1;
  *block_slot(node, group) = kNoBlock;
  --nodes_[static_cast<size_t>(node)].blocks;
  prune(node);
}

// From a node upwards: whoever has neither block nor child is forgotten.
void PrefixIndex::prune(int32_t node) {
  while (node >= 0) {
    Node& n = nodes_[static_cast<size_t>(node)];
    if (n.blocks > 0 || n.children > 0) return;
    int32_t* link = &buckets_[bucket(n.key)];
    while (*link != node) link = &nodes_[static_cast<size_t>(*link)].next;
    *link = n.next;
    n.used = false;
    ++n.life;
    free_.push_back(node);
    node = n.parent;
    if (node >= 0) --nodes_[static_cast<size_t>(node)].children;
  }
}

}  // namespace tern
