// What the cache remembers: a tree of full blocks of tokens, each node the continuation of its parent.
//
// A node stands for "these tokens, after exactly those before them, under this root" and holds, for each cache group,
// the block with their keys and values, or none (evicted, or out of a sliding window's reach). Nodes are found by their
// key (kv/block_hash.h), then compared: root, parent and every token. A node lives while it has a block or a child, so
// a child never outlives the meaning of its parent. Memory is fixed on construction. Engine thread only.
//
// A second tier (host memory, a file) would be a further column of places beside `blocks`.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/kv/block_hash.h"

namespace tern {

// A node and the life of it that is meant: a node's number is used again after it has died.
struct PrefixNode {
  int32_t number = -1;  // -1: the root, before the first block
  uint32_t life = 0;
  bool is_root() const { return number < 0; }
};

class PrefixIndex {
 public:
  static constexpr int32_t kNoBlock = -1;

  // `blocks` [groups]: the sizes of the pools, of which the largest bounds the nodes too.
  PrefixIndex(std::span<const int32_t> blocks, int64_t block_tokens);

  struct Name {
    const BlockKey& root;
    PrefixNode parent;
    const BlockKey& key;
    std::span<const int32_t> tokens;  // [block_tokens]
  };
  // False when the index does not hold such a node; else `node` is it.
  bool find(const Name& name, PrefixNode& node) const;
  // False when there is no room. The node begins without blocks: give it one, or prune().
  bool insert(const Name& name, PrefixNode& node);
  bool alive(PrefixNode node) const;
  PrefixNode parent(PrefixNode node) const;

  int32_t block(PrefixNode node, size_t group) const;
  // The node's block of the group, which had none.
  void set_block(PrefixNode node, size_t group, int32_t block);
  // Is this block what some node holds?
  bool holds(size_t group, int32_t block) const { return node_of_[group][static_cast<size_t>(block)] >= 0; }
  // The block's contents are gone. Removes nodes that are left with neither block nor child.
  void drop_block(size_t group, int32_t block);

  int64_t nodes() const { return static_cast<int64_t>(nodes_.size() - free_.size()); }

 private:
  struct Node {
    BlockKey root, key;
    int32_t parent = -1;
    int32_t next = -1;  // in its bucket
    int32_t children = 0;
    int32_t blocks = 0;  // groups in which it holds one
    uint32_t life = 1;
    bool used = false;
  };
  size_t bucket(const BlockKey& key) const;
  int32_t* block_slot(int32_t node, size_t group) { return &blocks_[static_cast<size_t>(node) * groups_ + group]; }
  void prune(int32_t node);

  size_t groups_;
  size_t block_tokens_;
  std::vector<Node> nodes_;
  std::vector<int32_t> tokens_;                // [nodes, block_tokens]
  std::vector<int32_t> blocks_;                // [nodes, groups]
  std::vector<std::vector<int32_t>> node_of_;  // [groups][blocks]: whose block it is, -1: nobody's
  std::vector<int32_t> buckets_;               // first node of each
  std::vector<int32_t> free_;
};

}  // namespace tern
