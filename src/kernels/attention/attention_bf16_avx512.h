// The body of attention over f16 and bf16 caches on processors with bf16 dot products, which do twice the multiply-adds
// of f32. Included by attention_avx512.cpp only.
//
// As attention_tiles.h, with operands rounded to bf16 and sums in f32: queries once a block, keys and values while their
// tile is copied once for all rows of the block, weights as they are made. In the copy two dimensions of a key, and two
// keys' values of a dimension, lie side by side, because an instruction sums such pairs. Every row, of one token or of a
// long prompt, goes through the same operations: each sum runs over pairs in ascending order in one register lane. Keys
// that no row of the block sees are copied as zeros; those that a row does not see have weight 0 there.
#pragma once

#include <immintrin.h>

#include "kernels/attention/attention_tiles.h"
#include "kernels/vector_avx512.h"

namespace tern {
namespace {

struct PairScratch {
  uint32_t* q;        // [kAttentionRows, head_dim / 2]
  uint32_t* weights;  // [kAttentionRows, kAttentionTile / 2]
  uint32_t* keys;     // [head_dim / 2, kAttentionTile]
  uint32_t* values;   // [kAttentionTile / 2, head_dim]
  float* scores;      // [kAttentionRows, kAttentionTile]
  float* lanes;       // [kAttentionRows, 16] sums of weights, a lane each
};

uint64_t pair_scratch_bytes(const AttentionDesc& desc) {
  const uint64_t dim = static_cast<uint64_t>(desc.head_dim), rows = kAttentionRows, tile = kAttentionTile;
  return 4 * (rows * (dim / 2 + tile / 2 + tile + 16) + dim * tile);
}

PairScratch pair_scratch_of(const AttentionBlock& block) {
  const int64_t dim = block.desc.head_dim;
  PairScratch s;
  s.keys = reinterpret_cast<uint32_t*>(block.scratch);
  s.values = s.keys + dim / 2 * kAttentionTile;
  s.scores = reinterpret_cast<float*>(s.values + dim / 2 * kAttentionTile);
  s.lanes = s.scores + kAttentionRows * kAttentionTile;
  s.weights = reinterpret_cast<uint32_t*>(s.lanes + kAttentionRows * 16);
  s.q = s.weights + kAttentionRows * kAttentionTile / 2;
  return s;
}

// 16 numbers to 32 bytes.
void store_bf16(void* to, __m512 x) {
  _mm256_storeu_si256(static_cast<__m256i*>(to), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
}

void pair_begin(const AttentionBlock& block) {
  const int64_t dim = block.desc.head_dim, group = block.desc.heads / block.desc.kv_heads;
  const __m512 scale = _mm512_set1_ps(block.desc.scale * kLog2E);
  uint32_t* out = pair_scratch_of(block).q;
  for (int64_t row = block.row_begin; row < block.row_end; ++row, out += dim / 2) {
    const float* q = block.q + (row / group) * block.q_stride + (block.kv_head * group + row % group) * dim;
    for (int64_t d = 0; d < dim; d += 16) store_bf16(out + d / 2, _mm512_mul_ps(_mm512_loadu_ps(q + d), scale));
  }
}

// 16 elements of each of two rows, side by side: a0 b0 a1 b1 ...
__m512i side_by_side(__m512i halves) {
  const __m512i order =
      _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3,
                       18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, halves);
}
__m512i pairs_of(const ElementF16* a, const ElementF16* b) {
  return side_by_side(reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(Avx512::load(b), Avx512::load(a))));
}
__m512i pairs_of(const ElementBF16* a, const ElementBF16* b) {
  const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a));
  const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b));
  return side_by_side(_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
}

// Copies the parts of a tile that are seen; keys outside [key_begin, key_end) as values of zero.
template <class E>
__attribute__((noinline)) void copy_pairs(const Tile<E>& tile, int64_t key_begin, int64_t key_end, int64_t dim,
                                          const PairScratch& scratch) {
  for (int64_t i = tile.sub_begin; i < tile.sub_end; ++i) {
    const E* keys = tile.keys[i];
    uint32_t* out = scratch.keys + i * kSub;
    for (int64_t d = 0; d < dim; d += 2, keys += 2 * tile.key_stride, out += kAttentionTile) {
      Avx512::prefetch(tile.next_keys[i] + d * tile.key_stride);
      Avx512::prefetch(tile.next_keys[i] + (d + 1) * tile.key_stride);
      _mm512_storeu_si512(out, pairs_of(keys, keys + tile.key_stride));
    }
    for (int64_t k = 0; k < kSub; k += 2) {
      const E* values = tile.values[i] + k * dim;
      const int64_t position = tile.first + i * kSub + k;
      const __mmask32 seen = (position >= key_begin && position < key_end ? 0x55555555u : 0u) |
                             (position + 1 >= key_begin && position + 1 < key_end ? 0xaaaaaaaau : 0u);
      uint32_t* to = scratch.values + (i * kSub + k) / 2 * dim;
      for (int64_t d = 0; d < dim; d += 16) {
        if (d % 32 == 0) {
          Avx512::prefetch(tile.next_values[i] + k * dim + d);
          Avx512::prefetch(tile.next_values[i] + (k + 1) * dim + d);
        }
        _mm512_storeu_si512(to + d, _mm512_maskz_mov_epi16(seen, pairs_of(values + d, values + dim + d)));
      }
    }
  }
}

// c[r, :] (+)= sum over pairs k in [0, depth) of a[r, k] . b[k, :].
struct PairProduct {
  const uint32_t* a;
  int64_t a_stride;
  const uint32_t* b;
  int64_t b_stride;
  int64_t depth;
  float* c;
  int64_t c_stride;
  bool resume;  // false: c is taken as zero
};

template <int R, int C>
__attribute__((noinline)) void pair_tile(const PairProduct& p) {
  __m512 sum[R][C];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) sum[r][c] = p.resume ? _mm512_loadu_ps(p.c + r * p.c_stride + c * 16) : _mm512_setzero_ps();
  }
  const uint32_t* a[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) a[r] = p.a + r * p.a_stride;
  const uint32_t* b = p.b;
  for (int64_t k = 0; k < p.depth; ++k, b += p.b_stride) {
    __m512bh factor[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) factor[r] = reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(a[r][k])));
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) {
      const __m512bh column = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + c * 16));
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

template <int R = Avx512::kTileRows, int C = Avx512::kTileCols>
void pair_product(int64_t rows, int64_t cols, const PairProduct& p) {
  if constexpr (R > 1) {
    if (rows < R) return pair_product<R - 1, C>(rows, cols, p);
  }
  if constexpr (C > 1) {
    if (cols < C) return pair_product<R, C - 1>(rows, cols, p);
  }
  pair_tile<R, C>(p);
}

// All three phases for rows [begin, end) of the block.
void pair_rows(const AttentionBlock& block, int64_t first, Seen parts, const PairScratch& scratch,
               const AttentionPartial& partial, int64_t begin, int64_t end) {
  const AttentionDesc& desc = block.desc;
  const int64_t dim = desc.head_dim, group = desc.heads / desc.kv_heads;
  for (int64_t r = begin, rows; r < end; r += rows) {
    rows = next_rows<Avx512>(end - r);
    pair_product(rows, parts.end - parts.begin,
                 {.a = scratch.q + r * dim / 2,
                  .a_stride = dim / 2,
                  .b = scratch.keys + parts.begin * kSub,
                  .b_stride = kAttentionTile,
                  .depth = dim / 2,
                  .c = scratch.scores + r * kAttentionTile + parts.begin * kSub,
                  .c_stride = kAttentionTile,
                  .resume = false});
  }
  for (int64_t r = begin; r < end; ++r) {
    const Seen seen = seen_of(desc, block.history + (block.row_begin + r) / group, first);
    float* weights = scratch.scores + r * kAttentionTile;
    row_weights<Avx512>(desc, seen, weights, partial.max + r, scratch.lanes + r * 16, partial.out + r * dim);
    for (int64_t i = 0; i < kSubs; ++i) {
      const __mmask16 kept = static_cast<__mmask16>(
          Avx512::lanes(greater(seen.end - i * kSub, 0)) & ~Avx512::lanes(greater(seen.begin - i * kSub, 0)));
      store_bf16(scratch.weights + (r * kAttentionTile + i * kSub) / 2, _mm512_maskz_loadu_ps(kept, weights + i * kSub));
    }
  }
  for (int64_t r = begin, rows; r < end; r += rows) {
    rows = next_rows<Avx512>(end - r);
    for (int64_t d = 0; d < dim; d += 64) {
      pair_product(rows, lesser(4, (dim - d) / 16),
                   {.a = scratch.weights + (r * kAttentionTile + parts.begin * kSub) / 2,
                    .a_stride = kAttentionTile / 2,
                    .b = scratch.values + parts.begin * (kSub / 2) * dim + d,
                    .b_stride = dim,
                    .depth = (parts.end - parts.begin) * (kSub / 2),
                    .c = partial.out + r * dim + d,
                    .c_stride = dim,
                    .resume = true});
    }
  }
}

template <class E>
void pair_chunk_of(const AttentionBlock& block, int64_t chunk, const AttentionPartial& partial) {
  const AttentionDesc& desc = block.desc;
  const int64_t group = desc.heads / desc.kv_heads;
  const PairScratch scratch = pair_scratch_of(block);
  clear_partial<Avx512>(block, partial, scratch.lanes);
  const int64_t first_position = block.history + block.row_begin / group;
  const int64_t last_position = block.history + (block.row_end - 1) / group;
  const int64_t all_begin = first_visible_key(desc, first_position);
  const int64_t key_begin = greater(all_begin, chunk * kAttentionChunk);
  const int64_t key_end = lesser(last_position + 1, (chunk + 1) * kAttentionChunk);
  for (int64_t first = key_begin / kAttentionTile * kAttentionTile; first < key_end; first += kAttentionTile) {
    const Seen rows = rows_that_see(block, first);
    if (rows.begin >= rows.end) continue;
    const Tile<E> tile = tile_at<E>(block, first, key_begin, key_end, all_begin, last_position + 1);
    copy_pairs(tile, key_begin, key_end, desc.head_dim, scratch);
    pair_rows(block, first, {tile.sub_begin, tile.sub_end}, scratch, partial, rows.begin, rows.end);
  }
  sum_lanes<Avx512>(block, partial, scratch.lanes);
}

void pair_chunk(const AttentionBlock& block, int64_t chunk, const AttentionPartial& partial) {
  if (block.kv.format == Format::kF16) {
    pair_chunk_of<ElementF16>(block, chunk, partial);
  } else {
    pair_chunk_of<ElementBF16>(block, chunk, partial);
  }
}

bool pair_supports(const AttentionDesc& desc, Format format) {
  return desc.head_dim % 16 == 0 && desc.head_dim <= 256 && (format == Format::kF16 || format == Format::kBF16);
}

}  // namespace
}  // namespace tern
