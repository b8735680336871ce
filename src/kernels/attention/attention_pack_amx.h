// The second operands of attention's tile products: keys and values as bf16, pairs side by side, copied once for all
// rows of a block. Included by attention_amx.cpp only.
//
// A tile is 1 KiB that lies together: 16 pairs of 16 columns. Keys: [part of 16 keys][32 dimensions], pairs of
// dimensions, filled up with zeros; values: [step of 32 keys][16 dimensions], pairs of keys. While they are copied, the
// lines of the chunk that comes next are asked for.
#pragma once

#include "kernels/attention/attention_softmax.h"
#include "kernels/attention/bf16_pairs_avx512.h"

namespace tern {
namespace {

constexpr int64_t kTilePairs = 256;  // of a tile: 16 x 16
constexpr int64_t kTileDims = 32;    // that a tile product of scores sums over
constexpr int64_t kTileSteps = kAttentionTile / (2 * kSub);

inline int64_t padded_dim(int64_t head_dim) { return (head_dim + kTileDims - 1) / kTileDims * kTileDims; }

// 64 keys.
struct PackedTile {
  uint32_t* keys;    // [kSubs, padded_dim / 32, 16 pairs of dimensions, 16 keys]
  uint32_t* values;  // [kTileSteps, head_dim / 16, 16 pairs of keys, 16 dimensions]
};

template <class E>
__attribute__((noinline)) void pack_keys(const E* keys, const E* next, int64_t stride, int64_t dim, uint32_t* to) {
  const bool two_lines = stride * static_cast<int64_t>(sizeof(E)) > kLine / 2;  // of two dimensions
  for (int64_t d = 0; d < dim; d += 2, to += kSub) {
    Avx512::prefetch(next + d * stride);
    if (two_lines) Avx512::prefetch(next + (d + 1) * stride);
    _mm512_storeu_si512(to, pairs_of(keys + d * stride, keys + (d + 1) * stride));
  }
  for (int64_t d = dim; d < padded_dim(dim); d += 2, to += kSub) _mm512_storeu_si512(to, _mm512_setzero_si512());
}

// Of a part whose keys [seen.begin, seen.end) are seen; the others may hold anything and become zeros.
template <class E>
__attribute__((noinline)) void pack_values(const E* values, const E* next, Seen seen, int64_t dim, uint32_t* to) {
  for (int64_t k = 0; k < kSub; k += 2, to += kSub) {
    const __mmask32 low = k >= seen.begin && k < seen.end ? 0x55555555u : 0u;
    const __mmask32 high = k + 1 >= seen.begin && k + 1 < seen.end ? 0xaaaaaaaau : 0u;
    for (int64_t d = 0; d < dim; d += 16) {
      if (d % 32 == 0) {
        Avx512::prefetch(next + k * dim + d);
        Avx512::prefetch(next + (k + 1) * dim + d);
      }
      const __m512i pairs = pairs_of(values + k * dim + d, values + (k + 1) * dim + d);
      _mm512_storeu_si512(to + d / 16 * kTilePairs, _mm512_maskz_mov_epi16(low | high, pairs));
    }
  }
}

void zero_values(int64_t dim, uint32_t* to) {
  for (int64_t k = 0; k < kSub / 2; ++k, to += kSub) {
    for (int64_t d = 0; d < dim; d += 16) _mm512_storeu_si512(to + d / 16 * kTilePairs, _mm512_setzero_si512());
  }
}

// The chunk of a block: what its rows see of it, and from where on they see nothing at all, in absolute positions.
struct ChunkKeys {
  int64_t begin, end;
  int64_t all_end;
};

// The 64 keys from `first` on.
template <class E>
void pack_tile(const AttentionBlock& block, const ChunkKeys& seen, int64_t first, const PackedTile& to) {
  const int64_t dim = block.desc.head_dim, stride = block.kv.block_tokens;
  for (int64_t part = 0; part < kSubs; ++part) {
    const int64_t at = first + part * kSub;
    uint32_t* values_to = to.values + part / 2 * (dim / 16) * kTilePairs + part % 2 * (kTilePairs / 2);
    if (at + kSub <= seen.begin || at >= seen.end) {
      zero_values(dim, values_to);
      continue;
    }
    const E *keys, *values, *next_keys, *next_values;
    locate(block, block.kv_head, at, &keys, &values);
    const int64_t next = block.next_key + (at - seen.begin / kSub * kSub);
    locate(block, block.next_kv_head, next < seen.all_end ? next : block.next_key, &next_keys, &next_values);
    pack_keys(keys, next_keys, stride, dim, to.keys + part * (padded_dim(dim) / kTileDims) * kTilePairs);
    pack_values(values, next_values, {seen.begin - at, seen.end - at}, dim, values_to);
  }
}

}  // namespace
}  // namespace tern
