#include "engine/runner/cpu_kv_pool.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "core/checked.h"
#include "core/error.h"
#include "engine/runner/runner.h"
#include "quant/kv_format.h"

namespace tern {
namespace {

// Blocks of that many tokens have a state each, where nothing else is said.
constexpr int64_t kStateTokens = 16;

int64_t state_bytes(const CacheGroup& group) {
  return static_cast<int64_t>(group.layers.size()) * group.state_floats * static_cast<int64_t>(sizeof(float));
}

int64_t kv_bytes_per_token(const CacheGroup& group, Format kv_format) {
  if (group.kind == CacheKind::kState) return (state_bytes(group) + kStateTokens - 1) / kStateTokens;
  return group.heads_per_token() * kv_head_bytes(kv_format, group.head_dim);
}

}  // namespace

CpuKvPool::CpuKvPool(const Program& program, Format format, int64_t tokens, int64_t block_tokens)
    : program_(program), format_(format), block_tokens_(block_tokens) {
  const int64_t blocks = (tokens + block_tokens - 1) / block_tokens;
  if (blocks < 1 || blocks > INT32_MAX)
    fail(ErrorCode::kResource, "[kv] a pool of " + std::to_string(blocks) + " blocks is not possible");
  blocks_ = static_cast<int32_t>(blocks);
  for (const CacheGroup& group : program_.caches) {
    const Checked bytes = Checked(static_cast<uint64_t>(blocks)) * Checked(static_cast<uint64_t>(block_bytes(group)));
    pools_.emplace_back(bytes.value_or(UINT64_MAX), "the KV pool", PageHint::kHugeBehindFirst);
  }
}

std::vector<KvGroup> CpuKvPool::groups() const {
  std::vector<KvGroup> groups;
  for (const CacheGroup& group : program_.caches) groups.push_back({blocks_, group.window});
  return groups;
}

int64_t CpuKvPool::block_bytes(const CacheGroup& group) const {
  if (group.kind == CacheKind::kState) return state_bytes(group);
  return kv_bytes_per_token(group, format_) * block_tokens_;
}

CachePlace CpuKvPool::place(const Op& op) const {
  const auto index = static_cast<size_t>(op.cache_group);
  const CacheGroup& group = program_.caches[index];
  const KvFormatInfo& format = *find_kv_format(format_);
  return {kv_layer_view(pools_[index].data(), static_cast<int64_t>(group.layers.size()), group.place_of(op.layer),
                        format.format, format.element_bytes, format.scale_bytes, group.kv_heads, group.head_dim,
                        block_tokens_),
          index};
}

StateView CpuKvPool::state(const Op& op) const {
  const auto index = static_cast<size_t>(op.cache_group);
  const CacheGroup& group = program_.caches[index];
  const int64_t layer_bytes = group.state_floats * static_cast<int64_t>(sizeof(float));
  return {pools_[index].data(), block_bytes(group), group.place_of(op.layer) * layer_bytes,
          static_cast<int32_t>(block_tokens_)};
}

void CpuKvPool::copy_blocks(const std::vector<BlockCopy>& copies, const Team& team) {
  for (const BlockCopy& copy : copies) {
    const auto index = static_cast<size_t>(copy.group);
    const int64_t bytes = block_bytes(program_.caches[index]);
    const Team::Range share = team.share(bytes, 64);
    std::byte* pool = pools_[index].data();
    std::memcpy(pool + copy.to * bytes + share.begin, pool + copy.from * bytes + share.begin,
                static_cast<size_t>(share.end - share.begin));
    team.sync();
  }
}

uint64_t CpuKvPool::bytes() const {
  uint64_t bytes = 0;
  for (const Buffer& pool : pools_) bytes += pool.bytes();
  return bytes;
}

uint64_t kv_bytes_per_token(const Program& program, Format kv_format) {
  int64_t bytes = 0;
  for (const CacheGroup& group : program.caches) bytes += kv_bytes_per_token(group, kv_format);
  return static_cast<uint64_t>(bytes);
}

}  // namespace tern
