// The pool of KV blocks: numbers handed out and taken back. It knows nothing of what a block holds; the runner owns the
// bytes. Blocks are reference-counted so that sequences can share them. Engine thread only.
//
// Invariant: free + referenced = total; a block is free exactly when its count is 0.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace tern {

class BlockPool {
 public:
  explicit BlockPool(int32_t total);

  int32_t total() const { return static_cast<int32_t>(references_.size()); }
  int32_t available() const { return static_cast<int32_t>(free_.size()); }

  // One block with reference count 1; nothing when the pool is empty.
  std::optional<int32_t> allocate();
  void share(int32_t block);    // one more reference
  void release(int32_t block);  // one less; free at 0
  int32_t references(int32_t block) const { return references_[static_cast<size_t>(block)]; }

 private:
  std::vector<int32_t> references_;
  std::vector<int32_t> free_;  // a stack: the block used last is the warmest
};

}  // namespace tern
