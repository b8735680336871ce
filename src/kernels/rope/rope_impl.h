// What one implementation of the rope family exports. ISA files include this. Bits: an element depends on its own token
// and position only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/batch_shape.h"
#include "kernels/kv_view.h"

namespace tern {

enum class RopeStyle : uint8_t { kInterleaved, kHalves };

struct RopeKvArgs {
  float* qkv;  // [tokens, qkv_stride]: heads * head_dim of q, then kv_heads * head_dim of k, then of v
  int64_t qkv_stride;
  float* q_out;  // [tokens, heads * head_dim]
  int32_t heads;
  int32_t kv_heads;
  int32_t head_dim;
  int32_t rope_dims;
  RopeStyle style;
  const float* cos;  // [positions, rope_dims / 2]
  const float* sin;
  KvLayerView kv;
  BatchShape batch;
  // Where k and v lie apart from q; null: side by side behind it.
  float* k = nullptr;
  int64_t k_stride = 0;
  float* v = nullptr;
  int64_t v_stride = 0;
  // Weights [head_dim] of norms of each head of q and of k, in place before they rotate; null: none.
  const float* q_norm = nullptr;
  const float* k_norm = nullptr;
  float norm_eps = 0;
};

// Column `column` of `token`: a head of q, then of k, then of v. Static: ISA files include this.
static inline float* rope_head(const RopeKvArgs& args, int64_t token, int64_t column) {
  if (args.k == nullptr || column < args.heads) return args.qkv + token * args.qkv_stride + column * args.head_dim;
  column -= args.heads;
  if (column < args.kv_heads) return args.k + token * args.k_stride + column * args.head_dim;
  return args.v + token * args.v_stride + (column - args.kv_heads) * args.head_dim;
}

// Tokens a run at most: one vector of keys of the transposed cache.
inline constexpr int32_t kRopeRun = 16;

// Consecutive tokens of one sequence whose positions lie in one aligned group of kRopeRun, so in one block.
struct RopeRun {
  int64_t token;     // row of the first one
  int32_t count;     // 1..kRopeRun
  int64_t position;  // of the first one
  std::byte* block;  // start of the cache block
  int32_t slot;      // of the first one in the block
};

struct RopeKvImpl {
  const char* name;
  uint32_t needs;  // IsaBits
  bool (*supports)(Format kv_format);
  // Columns [begin, end) of the run, a column being one head of q, then of k, then of v.
  void (*run)(const RopeKvArgs&, const RopeRun&, int32_t begin, int32_t end);
};

struct RopeKvImplSpan {
  const RopeKvImpl* rows;
  int count;
};

extern const RopeKvImplSpan kRopeKvAvx512;
extern const RopeKvImplSpan kRopeKvAvx2;
extern const RopeKvImplSpan kRopeKvRef;

}  // namespace tern
