// The vector body of the attention family, for a register type V (kernels/vector_*.h). Included by ISA files only.
//
// A chunk is walked in tiles of 64 keys at absolute positions; the rows that see a tile go through three phases:
//   scores   rows x 64 keys = q K, a register tile at a time (keys are stored transposed: a vector is 16 keys)
//   weights  2^(score - running max), rows' earlier sums and outputs rescaled when the maximum grew; scores and maxima
//            are in units of log2 e, which q's scale brings in
//   values   rows x head_dim += weights V
// Scores and values are the same small product C += A B with A's element broadcast. Each sum runs over k in ascending
// order in one register lane, so a row's bits do not depend on the rows beside it nor on where it is in the register
// tile. Keys that a row does not see have their score replaced by -infinity before the maximum and are left out of the
// product with V, so whatever the cache holds there does not reach a result. Few rows read the cache in place; many
// rows read a copy of the tile widened to f32 once (the same numbers). Both ask for the next tile's lines while they
// work on this one: a block's keys of one head are 2 KiB somewhere in the pool, too short for the processor to guess
// where it goes on.
#pragma once

#include "kernels/attention/attention_softmax.h"

namespace tern {
namespace {

// ---- the small product -------------------------------------------------------------------------------------------

// c[r, :] (+)= sum over k in [0, depth) of a[r, k] * b[k, :]; columns are vectors, each with its own pointer into b.
template <class E>
struct Product {
  const float* a;
  int64_t a_stride;
  const E* b[4];
  int64_t b_stride;
  int64_t depth;
  float* c;
  int64_t c_stride;
  bool resume;  // false: c is taken as zero
  // Lines to ask for at step k: ahead[k % 2][0 and 1] + k * b_stride. Used with elements of 2 bytes.
  const E* ahead[2][2];
};

template <class V, class E, int R, int C>
__attribute__((noinline)) void product_tile(const Product<E>& p) {
  typename V::Reg sum[R][C];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) sum[r][c] = p.resume ? V::load(p.c + r * p.c_stride + c * V::kWidth) : V::zero();
  }
  const float* a[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) a[r] = p.a + r * p.a_stride;
  const E* b[C];
#pragma GCC unroll 8
  for (int c = 0; c < C; ++c) b[c] = p.b[c];
  const int64_t stride = p.b_stride, depth = p.depth, out_stride = p.c_stride;
  float* out = p.c;
  // f32 operands are the widened tile, or a cache for tests: not worth the instructions.
  constexpr bool kAhead = sizeof(E) == 2;
  for (int64_t k = 0; k < depth; ++k) {
    if constexpr (kAhead) {
      V::prefetch(p.ahead[k % 2][0] + k * stride);
      V::prefetch(p.ahead[k % 2][1] + k * stride);
    }
    typename V::Reg factor[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) factor[r] = V::set1(a[r][k]);
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) {
      const typename V::Reg column = V::load(b[c] + k * stride);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) sum[r][c] = V::fma(factor[r], column, sum[r][c]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) V::store(out + r * out_stride + c * V::kWidth, sum[r][c]);
  }
}

template <class V, class E, int R = V::kTileRows, int C = V::kTileCols>
void product(int64_t rows, int64_t cols, const Product<E>& p) {
  if constexpr (R > 1) {
    if (rows < R) return product<V, E, R - 1, C>(rows, cols, p);
  }
  if constexpr (C > 1) {
    if (cols < C) return product<V, E, R, C - 1>(rows, cols, p);
  }
  product_tile<V, E, R, C>(p);
}

// `rows` cut into equal parts of at most a register tile: the size of the next one.
template <class V>
int64_t next_rows(int64_t rows) {
  const int64_t parts = (rows + V::kTileRows - 1) / V::kTileRows;
  return (rows + parts - 1) / parts;
}

// ---- what a block keeps in its scratch -----------------------------------------------------------------------------

struct Scratch {
  float* q;       // [kAttentionRows, head_dim], times scale
  float* scores;  // [kAttentionRows, kAttentionTile], then weights
  float* lanes;   // [kAttentionRows, 16] sums of weights, a lane each
  float* keys;    // [head_dim, kAttentionTile] widened tile
  float* values;  // [kAttentionTile, head_dim]
};

uint64_t attention_scratch_bytes(const AttentionDesc& desc) {
  const uint64_t dim = static_cast<uint64_t>(desc.head_dim);
  const uint64_t rows = kAttentionRows, tile = kAttentionTile;
  return sizeof(float) * (rows * dim + rows * tile + rows * 16 + 2 * tile * dim);
}

Scratch scratch_of(const AttentionBlock& block) {
  const int64_t dim = block.desc.head_dim;
  Scratch s;
  float* q = reinterpret_cast<float*>(block.scratch);
  s.q = q + block.scratch_row * dim;
  s.scores = q + kAttentionRows * dim;
  s.lanes = s.scores + kAttentionRows * kAttentionTile;
  s.keys = s.lanes + kAttentionRows * 16;
  s.values = s.keys + kAttentionTile * dim;
  return s;
}

template <class V>
void attention_begin(const AttentionBlock& block) {
  const int64_t dim = block.desc.head_dim, group = block.desc.heads / block.desc.kv_heads;
  const typename V::Reg scale = V::set1(block.desc.scale * kLog2E);
  float* out = scratch_of(block).q;
  for (int64_t row = block.row_begin; row < block.row_end; ++row, out += dim) {
    const float* q = block.q + (row / group) * block.q_stride + (block.kv_head * group + row % group) * dim;
    for (int64_t d = 0; d < dim; d += V::kWidth) V::store(out + d, V::mul(V::load(q + d), scale));
  }
}

// ---- one tile
// --------------------------------------------------------------------------------------------------------

template <class E>
struct Tile {
  int64_t first;               // absolute position
  int64_t sub_begin, sub_end;  // 16-key parts that any row sees; only these are read
  const E* keys[kSubs];        // one dimension a row, key_stride apart
  const E* values[kSubs];      // one key a row, head_dim apart
  int64_t key_stride;
  const E* next_keys[kSubs];  // the tile that comes after this one, or this one
  const E* next_values[kSubs];
};

// [key_begin, key_end): what rows of the block see of the chunk; they see nothing from all_end on.
// Parts that nobody sees point at one that somebody does: computed with, then masked.
template <class E>
Tile<E> tile_at(const AttentionBlock& block, int64_t first, int64_t key_begin, int64_t key_end, int64_t all_end) {
  Tile<E> tile;
  tile.first = first;
  tile.key_stride = block.kv.block_tokens;
  tile.sub_begin = (greater(key_begin, first) - first) / kSub;
  tile.sub_end = (lesser(key_end, first + kAttentionTile) - first + kSub - 1) / kSub;
  for (int64_t i = 0; i < kSubs; ++i) {
    const int64_t sub = i < tile.sub_begin || i >= tile.sub_end ? tile.sub_begin : i;
    locate(block, block.kv_head, first + sub * kSub, &tile.keys[i], &tile.values[i]);
  }
  const bool more = first + kAttentionTile < key_end;
  const int64_t head = more ? block.kv_head : block.next_kv_head;
  const int64_t next = more ? first + kAttentionTile : block.next_key;
  for (int64_t i = 0; i < kSubs; ++i) {
    const int64_t position = next + i * kSub;
    locate(block, head, position < all_end ? position : next, &tile.next_keys[i], &tile.next_values[i]);
  }
  return tile;
}

template <class V, class E>
Tile<float> widen(const Tile<E>& tile, int64_t dim, const Scratch& scratch) {
  Tile<float> wide;
  wide.first = tile.first;
  wide.sub_begin = tile.sub_begin;
  wide.sub_end = tile.sub_end;
  wide.key_stride = kAttentionTile;
  for (int64_t i = 0; i < kSubs; ++i) {
    const int64_t sub = i < tile.sub_begin || i >= tile.sub_end ? tile.sub_begin : i;
    wide.keys[i] = wide.next_keys[i] = scratch.keys + sub * kSub;
    wide.values[i] = wide.next_values[i] = scratch.values + sub * kSub * dim;
  }
  for (int64_t i = tile.sub_begin; i < tile.sub_end; ++i) {
    float* keys = scratch.keys + i * kSub;
    for (int64_t d = 0; d < dim; ++d) {
      V::prefetch(tile.next_keys[i] + d * tile.key_stride);
#pragma GCC unroll 2
      for (int64_t k = 0; k < kSub; k += V::kWidth) {
        V::store(keys + d * kAttentionTile + k, V::load(tile.keys[i] + d * tile.key_stride + k));
      }
    }
    float* values = scratch.values + i * kSub * dim;
    for (int64_t k = 0; k < kSub * dim; k += V::kWidth) {
      if (k * static_cast<int64_t>(sizeof(E)) % kLine == 0) V::prefetch(tile.next_values[i] + k);
      V::store(values + k, V::load(tile.values[i] + k));
    }
  }
  return wide;
}

// scores[r, key] for rows [begin, end), up to the last key that any of them sees.
template <class V, class E>
void tile_scores(const AttentionBlock& block, const Tile<E>& tile, const Scratch& scratch, int64_t begin, int64_t end) {
  const int64_t dim = block.desc.head_dim, group = block.desc.heads / block.desc.kv_heads;
  constexpr int64_t kCols = kAttentionTile / V::kWidth, kPerSub = kSub / V::kWidth;
  for (int64_t r = begin; r < end;) {
    const int64_t rows = next_rows<V>(end - r);
    const int64_t last = block.history + (block.row_begin + r + rows - 1) / group;
    const int64_t cols = (seen_of(block.desc, last, tile.first).end + V::kWidth - 1) / V::kWidth;
    for (int64_t col = 0; col < lesser(cols, kCols); col += V::kTileCols) {
      Product<E> p{.a = scratch.q + r * dim,
                   .a_stride = dim,
                   .b_stride = tile.key_stride,
                   .depth = dim,
                   .c = scratch.scores + r * kAttentionTile + col * V::kWidth,
                   .c_stride = kAttentionTile,
                   .resume = false};
      // One line holds two parts of a row where a block has 32 keys or more; where it has 16, one part of two rows.
      const bool shared = tile.key_stride > kSub;
      p.ahead[0][0] = tile.next_keys[0];
      p.ahead[0][1] = tile.next_keys[shared ? 2 : 1];
      p.ahead[1][0] = tile.next_keys[shared ? 0 : 2];
      p.ahead[1][1] = tile.next_keys[shared ? 2 : 3];
      const int64_t count = lesser(V::kTileCols, cols - col);
      for (int64_t c = 0; c < count; ++c) {
        p.b[c] = tile.keys[(col + c) / kPerSub] + (col + c) % kPerSub * V::kWidth;
      }
      product<V>(rows, count, p);
    }
    r += rows;
  }
}

// out[r, :] += weights[r, seen] V for rows that see the same keys.
template <class V, class E>
void rows_values(const Tile<E>& tile, Seen seen, const float* weights, int64_t rows, int64_t dim, float* out) {
  // Of a cache read in place a pass takes one line of each key: 17.4 instead of 11.8 GB/s from memory.
  constexpr int64_t kCols = sizeof(E) == 2 ? kLine / 2 / V::kWidth : V::kTileCols;
  static_assert(kCols <= V::kTileCols);
  for (int64_t k = seen.begin; k < seen.end;) {
    // As many parts as lie one behind the other.
    int64_t sub = k / kSub;
    while (sub + 1 < tile.sub_end && tile.values[sub + 1] == tile.values[sub] + kSub * dim) ++sub;
    const int64_t end = lesser(seen.end, (sub + 1) * kSub);
    const E* first = tile.values[k / kSub] + k % kSub * dim;
    for (int64_t r = 0; r < rows;) {
      const int64_t count = next_rows<V>(rows - r);
      for (int64_t d = 0; d < dim; d += kCols * V::kWidth) {
        Product<E> p{.a = weights + r * kAttentionTile + k,
                     .a_stride = kAttentionTile,
                     .b_stride = dim,
                     .depth = end - k,
                     .c = out + r * dim + d,
                     .c_stride = dim,
                     .resume = true};
        p.ahead[0][0] = p.ahead[1][0] = tile.next_values[k / kSub] + k % kSub * dim + d;
        p.ahead[0][1] = p.ahead[1][1] = p.ahead[0][0] + kLine / sizeof(E);
        const int64_t cols = lesser(kCols, (dim - d) / V::kWidth);
        for (int64_t c = 0; c < cols; ++c) p.b[c] = first + d + c * V::kWidth;
        product<V>(count, cols, p);
      }
      r += count;
    }
    k = end;
  }
}

// All three phases for rows [begin, end) of the block.
template <class V, class E>
void tile_rows(const AttentionBlock& block, const Tile<E>& tile, const Scratch& scratch,
               const AttentionPartial& partial, int64_t begin, int64_t end) {
  const AttentionDesc& desc = block.desc;
  const int64_t dim = desc.head_dim, group = desc.heads / desc.kv_heads;
  const auto seen_by = [&](int64_t r) {
    return seen_of(desc, block.history + (block.row_begin + r) / group, tile.first);
  };
  tile_scores<V>(block, tile, scratch, begin, end);
  for (int64_t r = begin; r < end; r += V::kWidth) {
    const SoftmaxRows<V> rows = softmax_rows<V>(block, tile.first, partial, scratch.scores, scratch.lanes, r, end);
    raise_maxima<V>(desc, rows);
    make_weights<V>(rows);
  }
  for (int64_t r = begin; r < end;) {
    const Seen seen = seen_by(r);
    int64_t next = r + 1;
    for (; next < end; ++next) {
      const Seen other = seen_by(next);
      if (other.begin != seen.begin || other.end != seen.end) break;
    }
    rows_values<V>(tile, seen, scratch.scores + r * kAttentionTile, next - r, dim, partial.out + r * dim);
    r = next;
  }
}

// ---- one chunk
// -------------------------------------------------------------------------------------------------------

template <class V, class E>
void chunk_of(const AttentionBlock& block, int64_t chunk, const AttentionPartial& partial) {
  const AttentionDesc& desc = block.desc;
  const int64_t dim = desc.head_dim, group = desc.heads / desc.kv_heads;
  const Scratch scratch = scratch_of(block);
  clear_partial<V>(block, partial, scratch.lanes);
  const int64_t first_position = block.history + block.row_begin / group;
  const int64_t last_position = block.history + (block.row_end - 1) / group;
  const int64_t key_begin = greater(first_visible_key(desc, first_position), chunk * kAttentionChunk);
  const int64_t key_end = lesser(last_position + 1, (chunk + 1) * kAttentionChunk);
  for (int64_t first = key_begin / kAttentionTile * kAttentionTile; first < key_end; first += kAttentionTile) {
    const Seen rows = rows_that_see(block, first);
    if (rows.begin >= rows.end) continue;
    const Tile<E> tile = tile_at<E>(block, first, key_begin, key_end, last_position + 1);
    if (sizeof(E) == sizeof(float) || rows.end - rows.begin <= V::kTileRows) {
      tile_rows<V>(block, tile, scratch, partial, rows.begin, rows.end);
    } else {
      tile_rows<V>(block, widen<V>(tile, dim, scratch), scratch, partial, rows.begin, rows.end);
    }
  }
  sum_lanes<V>(block, partial, scratch.lanes);
}

template <class V>
void attention_chunk(const AttentionBlock& block, int64_t chunk, const AttentionPartial& partial) {
  if (block.kv.format == Format::kF16) {
    chunk_of<V, ElementF16>(block, chunk, partial);
  } else if (block.kv.format == Format::kBF16) {
    chunk_of<V, ElementBF16>(block, chunk, partial);
  } else {
    chunk_of<V, float>(block, chunk, partial);
  }
}

template <class V>
bool attention_supports(const AttentionDesc& desc, Format format) {
  return desc.head_dim % V::kWidth == 0 && desc.head_dim <= kMaxHeadDim &&
         (format == Format::kF32 || format == Format::kF16 || format == Format::kBF16);
}

}  // namespace
}  // namespace tern
