// The small product of attention in bf16, and where its operands come from. Included by attention_avx512.cpp only.
//
// An instruction sums products of pairs, so two dimensions of a key, or two keys' values of a dimension, have to lie
// side by side in a register: a source gives them so, from the cache or from a copy of a tile. The numbers are the
// same.
#pragma once

#include <immintrin.h>

#include "kernels/attention/attention_tiles.h"
#include "kernels/attention/bf16_pairs_avx512.h"
#include "kernels/vector_avx512.h"

namespace tern {
namespace {

// A source gives column c (16 lanes) of pair k.
struct CopiedPairs {
  const uint32_t* at;
  int64_t stride;
  __m512i operator()(int64_t k, int64_t c) const { return _mm512_loadu_si512(at + k * stride + c * 16); }
};

// Dimensions 2k and 2k + 1 of the keys of part c.
template <class E>
struct KeyPairs {
  const E* at[kSubs];
  const E* next[kSubs];
  int64_t stride;

  explicit KeyPairs(const Tile<E>& tile) : stride(tile.key_stride) {
    for (int64_t i = 0; i < kSubs; ++i) {
      at[i] = tile.keys[i];
      next[i] = tile.next_keys[i];
    }
  }
  inline __attribute__((always_inline)) __m512i operator()(int64_t k, int64_t c) const {
    Avx512::prefetch(next[c] + 2 * k * stride);
    if (stride * static_cast<int64_t>(sizeof(E)) > kLine / 2) Avx512::prefetch(next[c] + (2 * k + 1) * stride);
    return pairs_of(at[c] + 2 * k * stride, at[c] + (2 * k + 1) * stride);
  }
};

// 16 dimensions, from d + 16 c on, of the values of keys 2k and 2k + 1 of a part; 0 for keys outside `keys`, where the
// cache may hold anything.
template <class E>
struct ValuePairs {
  const E* at;
  const E* next;
  int64_t dim;
  Seen seen;  // keys of the part

  ValuePairs(const Tile<E>& tile, Seen keys, int64_t head_dim, int64_t sub, int64_t d)
      : at(tile.values[sub] + d), next(tile.next_values[sub] + d), dim(head_dim) {
    const int64_t first = tile.first + sub * kSub;
    seen = {keys.begin - first, keys.end - first};
  }
  inline __attribute__((always_inline)) __m512i operator()(int64_t k, int64_t c) const {
    const E* one = at + 2 * k * dim + c * 16;
    if (c % 2 == 0) {
      Avx512::prefetch(next + 2 * k * dim + c * 16);
      Avx512::prefetch(next + (2 * k + 1) * dim + c * 16);
    }
    const __mmask32 low = 2 * k >= seen.begin && 2 * k < seen.end ? 0x55555555u : 0u;
    const __mmask32 high = 2 * k + 1 >= seen.begin && 2 * k + 1 < seen.end ? 0xaaaaaaaau : 0u;
    return _mm512_maskz_mov_epi16(low | high, pairs_of(one, one + dim));
  }
};

// c[r, :] (+)= sum over pairs k in [0, depth) of a[r, k] . b(k, :).
template <class Source>
struct PairProduct {
  const uint32_t* a;
  int64_t a_stride;
  Source b;
  int64_t depth;
  float* c;
  int64_t c_stride;
  bool resume;  // false: c is taken as zero
};

template <int R, int C, class Source>
__attribute__((noinline)) void pair_tile(const PairProduct<Source>& p) {
  __m512 sum[R][C];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) {
      sum[r][c] = p.resume ? _mm512_loadu_ps(p.c + r * p.c_stride + c * 16) : _mm512_setzero_ps();
    }
  }
  const uint32_t* a[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) a[r] = p.a + r * p.a_stride;
  const Source source = p.b;
  const int64_t depth = p.depth;
  for (int64_t k = 0; k < depth; ++k) {
    __m512bh factor[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) factor[r] = reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(a[r][k])));
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) {
      const __m512bh column = reinterpret_cast<__m512bh>(source(k, c));
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) sum[r][c] = _mm512_dpbf16_ps(sum[r][c], column, factor[r]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) _mm512_storeu_ps(p.c + r * p.c_stride + c * 16, sum[r][c]);
  }
}

// At most a register tile of rows.
template <int C, class Source, int R = Avx512::kTileRows>
void pair_rows(int64_t rows, const PairProduct<Source>& p) {
  if constexpr (R > 1) {
    if (rows < R) return pair_rows<C, Source, R - 1>(rows, p);
  }
  pair_tile<R, C>(p);
}

template <class Source, int C = Avx512::kTileCols>
void pair_product(int64_t rows, int64_t cols, const PairProduct<Source>& p) {
  if constexpr (C > 1) {
    if (cols < C) return pair_product<Source, C - 1>(rows, cols, p);
  }
  pair_rows<C>(rows, p);
}

}  // namespace
}  // namespace tern
