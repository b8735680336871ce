// The body of attention over f16 and bf16 caches on processors with bf16 dot products, which do twice the multiply-adds
// of f32. Included by attention_avx512.cpp only.
//
// As attention_tiles.h, with operands rounded to bf16 and sums in f32: queries once a block, keys and values while
// their tile is copied once for all rows of the block, weights as they are made. In the copy two dimensions of a key,
// and two keys' values of a dimension, lie side by side, because an instruction sums such pairs. Every row, of one
// token or of a long prompt, goes through the same operations: each sum runs over pairs in ascending order in one
// register lane. Keys that no row of the block sees are copied as zeros; those that a row does not see have weight 0
// there.
#pragma once

#include <immintrin.h>

#include "kernels/attention/attention_pairs_avx512.h"
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
  s.q = s.weights + kAttentionRows * kAttentionTile / 2 + block.scratch_row * dim / 2;
  return s;
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

// Copies the parts of a tile that are seen.
template <class E>
__attribute__((noinline)) void copy_pairs(const Tile<E>& tile, Seen keys, int64_t dim, const PairScratch& scratch) {
  const KeyPairs<E> key_pairs(tile);
  for (int64_t i = tile.sub_begin; i < tile.sub_end; ++i) {
    uint32_t* to = scratch.keys + i * kSub;
    for (int64_t k = 0; k < dim / 2; ++k, to += kAttentionTile) _mm512_storeu_si512(to, key_pairs(k, i));
    const ValuePairs<E> value_pairs(tile, keys, dim, i, 0);
    to = scratch.values + i * (kSub / 2) * dim;
    for (int64_t k = 0; k < kSub / 2; ++k) {
      for (int64_t c = 0; c < dim / 16; ++c, to += 16) _mm512_storeu_si512(to, value_pairs(k, c));
    }
  }
}

// Scores become weights, 0 where a row does not see.
void make_pairs(const SoftmaxRows<Avx512>& rows, uint32_t* weights) {
  for (int64_t r = 0; r < rows.count; ++r, weights += kAttentionTile / 2) {
    const float* scores = rows.scores + r * kAttentionTile;
    const __m512 top = _mm512_set1_ps(rows.max[r]);
    const Seen seen = rows.seen[r];
    __m512 x[kSubs];
#pragma GCC unroll 4
    for (int i = 0; i < kSubs; ++i) {
      const auto kept = static_cast<__mmask16>(Avx512::lanes(greater(seen.end - i * kSub, 0)) &
                                               ~Avx512::lanes(greater(seen.begin - i * kSub, 0)));
      x[i] = Avx512::exp2_coarse(_mm512_sub_ps(_mm512_loadu_ps(scores + i * kSub), top));
      store_bf16(weights + i * kSub / 2, _mm512_maskz_mov_ps(kept, x[i]));
    }
    add_lanes<Avx512>(x, rows.lanes + r * 16);
  }
}

// Scores of rows [begin, end) with a tile's copy.
void copied_scores(int64_t dim, Seen parts, const PairScratch& scratch, int64_t begin, int64_t end) {
  for (int64_t r = begin, rows; r < end; r += rows) {
    rows = next_rows<Avx512>(end - r);
    pair_product(rows, parts.end - parts.begin,
                 PairProduct<CopiedPairs>{.a = scratch.q + r * dim / 2,
                                          .a_stride = dim / 2,
                                          .b = {scratch.keys + parts.begin * kSub, kAttentionTile},
                                          .depth = dim / 2,
                                          .c = scratch.scores + r * kAttentionTile + parts.begin * kSub,
                                          .c_stride = kAttentionTile,
                                          .resume = false});
  }
}

void copied_values(int64_t dim, Seen parts, const PairScratch& scratch, float* out, int64_t begin, int64_t end) {
  for (int64_t r = begin, rows; r < end; r += rows) {
    rows = next_rows<Avx512>(end - r);
    for (int64_t d = 0; d < dim; d += 64) {
      pair_product(rows, lesser(4, (dim - d) / 16),
                   PairProduct<CopiedPairs>{.a = scratch.weights + (r * kAttentionTile + parts.begin * kSub) / 2,
                                            .a_stride = kAttentionTile / 2,
                                            .b = {scratch.values + parts.begin * (kSub / 2) * dim + d, dim},
                                            .depth = (parts.end - parts.begin) * (kSub / 2),
                                            .c = out + r * dim + d,
                                            .c_stride = dim,
                                            .resume = true});
    }
  }
}

// Few rows take keys and values as they come, without a copy.
template <class E>
void direct_scores(const Tile<E>& tile, int64_t dim, const PairScratch& scratch, int64_t begin, int64_t end) {
  pair_rows<kSubs>(end - begin, PairProduct<KeyPairs<E>>{.a = scratch.q + begin * dim / 2,
                                                         .a_stride = dim / 2,
                                                         .b = KeyPairs<E>(tile),
                                                         .depth = dim / 2,
                                                         .c = scratch.scores + begin * kAttentionTile,
                                                         .c_stride = kAttentionTile,
                                                         .resume = false});
}

template <class E>
void direct_values(const Tile<E>& tile, Seen keys, int64_t dim, const PairScratch& scratch, float* out, int64_t begin,
                   int64_t end) {
  for (int64_t sub = tile.sub_begin; sub < tile.sub_end; ++sub) {
    for (int64_t d = 0; d < dim;) {
      const PairProduct<ValuePairs<E>> p{.a = scratch.weights + (begin * kAttentionTile + sub * kSub) / 2,
                                         .a_stride = kAttentionTile / 2,
                                         .b = ValuePairs<E>(tile, keys, dim, sub, d),
                                         .depth = kSub / 2,
                                         .c = out + begin * dim + d,
                                         .c_stride = dim,
                                         .resume = true};
      // One line of each key a pass, as in attention_tiles.h.
      if (d + 32 <= dim) {
        pair_rows<2>(end - begin, p);
        d += 32;
      } else {
        pair_rows<1>(end - begin, p);
        d += 16;
      }
    }
  }
}

// All three phases for rows [begin, end) of the block. keys: what rows of the block see of the chunk.
template <class E>
void pair_phases(const AttentionBlock& block, const Tile<E>& tile, Seen keys, const PairScratch& scratch,
                 const AttentionPartial& partial, int64_t begin, int64_t end) {
  const int64_t dim = block.desc.head_dim;
  const Seen parts{tile.sub_begin, tile.sub_end};
  const bool copy = end - begin > Avx512::kTileRows;
  if (copy) {
    copy_pairs(tile, keys, dim, scratch);
    copied_scores(dim, parts, scratch, begin, end);
  } else {
    direct_scores(tile, dim, scratch, begin, end);
  }
  for (int64_t r = begin; r < end; r += Avx512::kWidth) {
    const auto rows = softmax_rows<Avx512>(block, tile.first, partial, scratch.scores, scratch.lanes, r, end);
    raise_maxima<Avx512>(block.desc, rows);
    make_pairs(rows, scratch.weights + r * kAttentionTile / 2);
  }
  if (copy) {
    copied_values(dim, parts, scratch, partial.out, begin, end);
  } else {
    direct_values(tile, keys, dim, scratch, partial.out, begin, end);
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
  const Seen keys{greater(first_visible_key(desc, first_position), chunk * kAttentionChunk),
                  lesser(last_position + 1, (chunk + 1) * kAttentionChunk)};
  for (int64_t first = keys.begin / kAttentionTile * kAttentionTile; first < keys.end; first += kAttentionTile) {
    const Seen rows = rows_that_see(block, first);
    if (rows.begin >= rows.end) continue;
    const Tile<E> tile = tile_at<E>(block, first, keys.begin, keys.end, last_position + 1);
    pair_phases(block, tile, keys, scratch, partial, rows.begin, rows.end);
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
  return desc.head_dim % 16 == 0 && desc.head_dim <= kMaxHeadDim && (format == Format::kF16 || format == Format::kBF16);
}

}  // namespace
}  // namespace tern
