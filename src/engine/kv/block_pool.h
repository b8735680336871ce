// The blocks of one cache group: numbers handed out and taken back, with counts of who holds them. It knows nothing of
// what a block holds; the runner owns the bytes. Engine thread only.
//
// A block is in one of three states: referenced (count > 0), cached (count 0, contents worth keeping: a list from the
// least to the most recently released) or free. Invariant: free + cached + referenced = total.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace tern {

class BlockPool {
 public:
  explicit BlockPool(int32_t total);

  int32_t total() const { return static_cast<int32_t>(blocks_.size()); }
  int32_t cached() const { return cached_; }
  // What allocate() can still give: free and cached.
  int32_t available() const { return static_cast<int32_t>(free_.size()) + cached_; }
  int32_t referenced() const { return total() - available(); }
  int32_t references(int32_t block) const { return at(block).references; }

  struct Allocation {
    int32_t block;
    bool evicted;  // it was cached until now: whoever remembers its contents must forget them
  };
  // A block with one reference: a free one, else the cached one that was released longest ago; nothing when there is
  // neither.
  std::optional<Allocation> allocate();
  // One more reference; a cached block becomes referenced again.
  void share(int32_t block);
  // One less; at 0 the block is cached when `keep` says so, else free.
  void release(int32_t block, bool keep);
  // A cached block's contents are worthless now.
  void forget(int32_t block);

 private:
  static constexpr int32_t kNone = -1;
  struct Block {
    int32_t references = 0;
    int32_t older = kNone, newer = kNone;  // neighbours in the list of cached blocks
    bool cached = false;
  };
  const Block& at(int32_t block) const { return blocks_[static_cast<size_t>(block)]; }
  Block& at(int32_t block) { return blocks_[static_cast<size_t>(block)]; }
  void link_newest(int32_t block);
  void unlink(int32_t block);

  std::vector<Block> blocks_;
  std::vector<int32_t> free_;  // a stack: the block used last is the warmest
  int32_t oldest_ = kNone, newest_ = kNone;
  int32_t cached_ = 0;
};

}  // namespace tern
