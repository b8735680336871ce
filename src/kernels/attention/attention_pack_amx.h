// The second operands of attention's tile products: keys and values of a chunk as bf16, pairs side by side, copied once
// for all rows of a block. Included by attention_amx.cpp only.
//
// A tile is 1 KiB that lies together: 16 pairs of 16 columns. Keys: [part of 16 keys][32 dimensions], pairs of
// dimensions, filled up with zeros; values: [step of 32 keys][16 dimensions], pairs of keys. While they are copied, the
// lines of the chunk that comes next are asked for.
#pragma once

#include "kernels/attention/attention_softmax.h"
#include "kernels/attention/bf16_pairs_avx512.h"

namespace tern {
namespace {

constexpr int64_t kChunkParts = kAttentionChunk / kSub;
constexpr int64_t kChunkSteps = kChunkParts / 2;
constexpr int64_t kTilePairs = 256;  // of a tile: 16 x 16
constexpr int64_t kTileDims = 32;    // that a tile product of scores sums over

inline int64_t padded_dim(int64_t head_dim) { return (head_dim + kTileDims - 1) / kTileDims * kTileDims; }

struct PackedChunk {
  uint32_t* keys;    // [kChunkParts, padded_dim / 32, 16 pairs of dimensions, 16 keys]
  uint32_t* values;  // [kChunkSteps, head_dim / 16, 16 pairs of keys, 16 dimensions]
};

// What rows of a block see of a chunk, in positions counted from its first.
struct ChunkKeys {
  int64_t first;       // absolute position
  int64_t begin, end;  // keys
  Seen parts() const { return {begin / kSub, (end + kSub - 1) / kSub}; }
  Seen tiles() const { return {begin / kAttentionTile, (end + kAttentionTile - 1) / kAttentionTile}; }
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

// all_end: where the block's rows cease to see anything at all.
template <class E>
void pack_chunk(const AttentionBlock& block, const ChunkKeys& seen, int64_t all_end, const PackedChunk& to) {
  const int64_t dim = block.desc.head_dim, stride = block.kv.block_tokens;
  const Seen parts = seen.parts(), tiles = seen.tiles();
  for (int64_t part = tiles.begin * kSubs; part < tiles.end * kSubs; ++part) {
    uint32_t* values_to = to.values + part / 2 * (dim / 16) * kTilePairs + part % 2 * (kTilePairs / 2);
    if (part < parts.begin || part >= parts.end) {
      zero_values(dim, values_to);
      continue;
    }
    const E *keys, *values, *next_keys, *next_values;
    locate(block, block.kv_head, seen.first + part * kSub, &keys, &values);
    const int64_t next = block.next_key + (part - parts.begin) * kSub;
    locate(block, block.next_kv_head, next < all_end ? next : block.next_key, &next_keys, &next_values);
    pack_keys(keys, next_keys, stride, dim, to.keys + part * (padded_dim(dim) / kTileDims) * kTilePairs);
    pack_values(values, next_values, {seen.begin - part * kSub, seen.end - part * kSub}, dim, values_to);
  }
}

}  // namespace
}  // namespace tern
