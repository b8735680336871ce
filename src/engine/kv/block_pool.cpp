#include "engine/kv/block_pool.h"

#include <string>

#include "core/error.h"

namespace tern {

BlockPool::BlockPool(int32_t total) : references_(static_cast<size_t>(total), 0) {
  free_.reserve(references_.size());
  for (int32_t block = total; block-- > 0;) free_.push_back(block);
}

std::optional<int32_t> BlockPool::allocate() {
  if (free_.empty()) return std::nullopt;
  const int32_t block = free_.back();
  free_.pop_back();
  references_[static_cast<size_t>(block)] = 1;
  return block;
}

void BlockPool::share(int32_t block) {
  TERN_CHECK(references_[static_cast<size_t>(block)] > 0, std::to_string(block));
  ++references_[static_cast<size_t>(block)];
}

void BlockPool::release(int32_t block) {
  int32_t& count = references_[static_cast<size_t>(block)];
  TERN_CHECK(count > 0, std::to_string(block));
  if (--count == 0) free_.push_back(block);
}

}  // namespace tern
