#include "engine/runner/cuda_kv_pool.h"

#include <fmt/core.h>

#include <algorithm>

#include "core/error.h"

namespace tern {

CudaKvPool::CudaKvPool(const Program& program, DecodeKv format, int64_t block_tokens)
    : program_(program), format_(format), block_tokens_(block_tokens) {}

DecodeKvLayout CudaKvPool::layout(const CacheGroup& group) const {
  return decode_kv_layout(format_, group.kv_heads, group.head_dim, block_tokens_);
}

int64_t CudaKvPool::block_bytes(const CacheGroup& group) const {
  return static_cast<int64_t>(group.layers.size()) * layout(group).bytes();
}

void CudaKvPool::reserve(int64_t tokens, uint64_t budget, uint64_t device_bytes) {
  int64_t largest = 0;
  for (const CacheGroup& group : program_.caches) largest = std::max(largest, block_bytes(group));
  const auto together = static_cast<int64_t>(bytes_for(block_tokens_));
  blocks_ = std::min((tokens + block_tokens_ - 1) / block_tokens_, static_cast<int64_t>(budget) / together);
  // A captured launch addresses a pool by rows of at least 128 bytes with 31 bits.
  blocks_ = std::min(blocks_, ((int64_t{1} << 31) - 1) * 128 / largest);
  if (blocks_ < 1) {
    fail(ErrorCode::kResource,
         fmt::format("[cuda] no memory is left for the KV cache: {:.1f} GB of {:.1f} GB may be used "
                     "(--gpu-memory-utilization), one block needs {:.1f} MB",
                     static_cast<double>(budget) / 1e9, static_cast<double>(device_bytes) / 1e9,
                     static_cast<double>(together) / 1e6));
  }
  for (const CacheGroup& group : program_.caches)
    pools_.emplace_back(static_cast<uint64_t>(blocks_ * block_bytes(group)), "the KV cache");
}

uint64_t CudaKvPool::bytes_for(int64_t tokens) const {
  int64_t together = 0;
  for (const CacheGroup& group : program_.caches) together += block_bytes(group);
  return static_cast<uint64_t>((tokens + block_tokens_ - 1) / block_tokens_ * together);
}

std::vector<KvGroup> CudaKvPool::groups() const {
  std::vector<KvGroup> groups;
  for (const CacheGroup& group : program_.caches) groups.push_back({static_cast<int32_t>(blocks_), group.window});
  return groups;
}

CudaKv CudaKvPool::place(const Op& op) const {
  const auto index = static_cast<size_t>(op.cache_group);
  const CacheGroup& group = program_.caches[index];
  const DecodeKvLayout layout = this->layout(group);
  return {.view = decode_kv_view(layout, pools_[index].data(), blocks_, block_bytes(group),
                                 group.place_of(op.layer) * layout.bytes()),
          .format = format_,
          .block_tokens = static_cast<int32_t>(block_tokens_),
          .group = index};
}

void CudaKvPool::copy_blocks(const std::vector<BlockCopy>& copies, void* stream) const {
  for (const BlockCopy& copy : copies) {
    const auto index = static_cast<size_t>(copy.group);
    const int64_t bytes = block_bytes(program_.caches[index]);
    std::byte* pool = pools_[index].data();
    copy_on_device(pool + copy.to * bytes, pool + copy.from * bytes, static_cast<uint64_t>(bytes), stream);
  }
}

uint64_t CudaKvPool::bytes() const {
  uint64_t bytes = 0;
  for (const CudaMemory& pool : pools_) bytes += pool.bytes();
  return bytes;
}

}  // namespace tern
