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

constexpr int64_t kLeastBlockTokens = 16;
// Prefixes are found in whole blocks, and a sequence has one that is not full.
constexpr int64_t kMostBlockTokens = 512;

int64_t state_bytes(const CacheGroup& group) {
  return static_cast<int64_t>(group.layers.size()) * group.state_floats * static_cast<int64_t>(sizeof(float));
}

// Of keys and values.
int64_t token_bytes(const CacheGroup& group, Format kv_format) {
  return group.kind == CacheKind::kState ? 0 : group.heads_per_token() * kv_head_bytes(kv_format, group.head_dim);
}

int64_t block_bytes_of(const CacheGroup& group, Format kv_format, int64_t block_tokens) {
  return group.kind == CacheKind::kState ? state_bytes(group) : token_bytes(group, kv_format) * block_tokens;
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

int64_t CpuKvPool::block_bytes(const CacheGroup& group) const { return block_bytes_of(group, format_, block_tokens_); }

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

int64_t default_block_tokens(const Program& program, Format kv_format) {
  int64_t states = 0, a_token = 0, tokens = kLeastBlockTokens;
  for (const CacheGroup& group : program.caches) {
    if (group.kind == CacheKind::kState) states += state_bytes(group);
    a_token += token_bytes(group, kv_format);
  }
  while (tokens < kMostBlockTokens && states > a_token * tokens) tokens *= 2;
  return tokens;
}

uint64_t kv_bytes_per_token(const Program& program, Format kv_format, int64_t block_tokens) {
  int64_t bytes = 0;
  for (const CacheGroup& group : program.caches) bytes += block_bytes_of(group, kv_format, block_tokens);
  return static_cast<uint64_t>((bytes + block_tokens - 1) / block_tokens);
}

}  // namespace tern
