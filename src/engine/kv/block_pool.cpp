#include "engine/kv/block_pool.h"

#include <string>

#include "core/error.h"

namespace tern {

BlockPool::BlockPool(int32_t total) : blocks_(static_cast<size_t>(total)) {
  free_.reserve(blocks_.size());
  for (int32_t block = total; block-- > 0;) free_.push_back(block);
}

std::optional<BlockPool::Allocation> BlockPool::allocate() {
  Allocation allocation{kNone, false};
  if (!free_.empty()) {
    allocation.block = free_.back();
    free_.pop_back();
  } else if (oldest_ != kNone) {
    allocation = {oldest_, true};
    unlink(oldest_);
  } else {
    return std::nullopt;
  }
  at(allocation.block).references = 1;
  return allocation;
}

void BlockPool::share(int32_t block) {
  Block& b = at(block);
  TERN_CHECK(b.references > 0 || b.cached, std::to_string(block));  // never a free one
  if (b.cached) unlink(block);
  ++b.references;
}

void BlockPool::release(int32_t block, bool keep) {
  Block& b = at(block);
  TERN_CHECK(b.references > 0, std::to_string(block));
  if (--b.references > 0) return;
  if (keep) {
    link_newest(block);
  } else {
    free_.push_back(block);
  }
}

void BlockPool::forget(int32_t block) {
  if (!at(block).cached) return;
  unlink(block);
  free_.push_back(block);
}

void BlockPool::link_newest(int32_t block) {
  Block& b = at(block);
  b.cached = true;
  b.older = newest_;
  b.newer = kNone;
  (newest_ == kNone ? oldest_ : at(newest_).newer) = block;
  newest_ = block;
  ++cached_;
}

void BlockPool::unlink(int32_t block) {
  Block& b = at(block);
  (b.older == kNone ? oldest_ : at(b.older).newer) = b.newer;
  (b.newer == kNone ? newest_ : at(b.newer).older) = b.older;
  b.older = b.newer = kNone;
  b.cached = false;
  --cached_;
}

}  // namespace tern
