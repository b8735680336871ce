// The body of attention over an int8 cache, for a register type V of floats and a set of integer products D
// (attention_codes_*.h). Included by ISA files only.
//
// The phases are those of attention_tiles.h, computed on the codes themselves:
//   scores   integer sums of query codes times key codes, times both scales. A row's query is coded once a block, with
//            its own scale.
//   weights  as there; then each key's weight times its value's scale, as codes with one scale for the row's 64 keys
//   values   integer sums of weight codes times value codes, times that scale, added to the row's f32 output
// Integer sums are exact, so nothing depends on their order; a row's codes depend on its own query, its own weights and
// the tile, and tiles lie at absolute positions: the same bits in any company. A key that a row does not see has weight
// code 0 (its scale, which may be anything, is masked before), so no row needs a product of its own. Numbers that are
// not finite reach the row's sum of weights, and so its result.
#pragma once

#include "kernels/attention/attention_tiles.h"
#include "quant/kv_int8.h"

namespace tern {
namespace {

// One tile of an int8 cache: 16 keys a part.
struct CodeTile {
  int64_t first;                // absolute position
  int64_t sub_begin, sub_end;   // parts that any row sees; only these are read
  const uint8_t* keys[kSubs];   // [head_dim / 4, key_stride bytes]: 16 keys x 4 dimensions
  const int8_t* values[kSubs];  // [4, head_dim, 4 keys]
  const float* key_scales[kSubs];
  const float* value_scales[kSubs];
  int64_t key_stride;
  const uint8_t* next_keys[kSubs];  // of the tile that comes after this one, or of this one
  const int8_t* next_values[kSubs];
};

template <class D>
struct CodeScratch {
  typename D::Word* q;        // [kAttentionRows, head_dim / 4]
  float* q_scale;             // [kAttentionRows]
  int32_t* q_start;           // [kAttentionRows] -128 * sum of codes: what the keys' offset adds, taken away
  float* scores;              // [kAttentionRows, kAttentionTile], then weights
  float* lanes;               // [kAttentionRows, 16] sums of weights, a lane each
  typename D::Word* weights;  // [kAttentionRows, kAttentionTile / 4]
  float* weight_scale;        // [kAttentionRows]
};

template <class D>
uint64_t code_scratch_bytes(const AttentionDesc& desc) {
  const uint64_t words = static_cast<uint64_t>(desc.head_dim) / 4 + kAttentionTile / 4;
  return kAttentionRows * (sizeof(typename D::Word) * words + sizeof(float) * (kAttentionTile + 16 + 3));
}

template <class D>
CodeScratch<D> code_scratch_of(const AttentionBlock& block) {
  CodeScratch<D> s;
  auto* q = reinterpret_cast<typename D::Word*>(block.scratch);
  s.q = q + block.scratch_row * block.desc.head_dim / 4;
  s.weights = q + kAttentionRows * block.desc.head_dim / 4;
  s.scores = reinterpret_cast<float*>(s.weights + kAttentionRows * kAttentionTile / 4);
  s.lanes = s.scores + kAttentionRows * kAttentionTile;
  s.weight_scale = s.lanes + kAttentionRows * 16;
  s.q_scale = s.weight_scale + kAttentionRows + block.scratch_row;
  s.q_start = reinterpret_cast<int32_t*>(s.weight_scale + 2 * kAttentionRows) + block.scratch_row;
  return s;
}

template <class V, class D>
void int8_begin(const AttentionBlock& block) {
  const int64_t dim = block.desc.head_dim, group = block.desc.heads / block.desc.kv_heads;
  const CodeScratch<D> scratch = code_scratch_of<D>(block);
  for (int64_t row = block.row_begin; row < block.row_end; ++row) {
    const int64_t r = row - block.row_begin;
    const float* q = block.q + (row / group) * block.q_stride + (block.kv_head * group + row % group) * dim;
    typename V::Reg most = V::zero(), poison = V::zero();
    for (int64_t d = 0; d < dim; d += V::kWidth) {
      most = V::max(most, V::abs(V::load(q + d)));
      poison = V::fma(V::load(q + d), V::zero(), poison);  // 0, or NaN
    }
    const float largest = V::reduce_max(most), poisoned = V::reduce_add(poison);
    const bool usable = largest >= kKvInt8Tiny && poisoned == 0;
    const typename V::Reg inverse = V::set1(usable ? D::kQueryTop / largest : 0.0f);
    auto* codes = reinterpret_cast<typename D::Code*>(scratch.q + r * dim / 4);
    for (int64_t d = 0; d < dim; d += V::kWidth) {
      D::store_query(codes + d, usable ? V::mul(V::load(q + d), inverse) : V::zero());
    }
    int32_t sum = 0;
    for (int64_t d = 0; d < dim; ++d) sum += codes[d];
    scratch.q_start[r] = -128 * sum;
    scratch.q_scale[r] = (usable ? largest / D::kQueryTop * (block.desc.scale * kLog2E) : 0.0f) + poisoned;
  }
}

void locate_codes(const AttentionBlock& block, int64_t head, int64_t position, const uint8_t** keys,
                  const int8_t** values, const float** key_scales, const float** value_scales) {
  const KvLayerView& kv = block.kv;
  const int64_t dim = kv.head_dim, tokens = kv.block_tokens, slot = position % tokens;
  const std::byte* base = kv.pool + block.block_table[position / tokens] * kv.block_bytes;
  *keys = reinterpret_cast<const uint8_t*>(base + kv.k_offset) + head * dim * tokens + slot * 4;
  *values = reinterpret_cast<const int8_t*>(base + kv.v_offset) + (head * tokens + slot) * dim;
  *key_scales = reinterpret_cast<const float*>(base + kv.k_scale_offset) + head * tokens + slot;
  *value_scales = reinterpret_cast<const float*>(base + kv.v_scale_offset) + head * tokens + slot;
}

// As tile_at() of attention_tiles.h.
template <class V>
CodeTile code_tile_at(const AttentionBlock& block, int64_t first, int64_t key_begin, int64_t key_end, int64_t all_end) {
  CodeTile tile;
  tile.first = first;
  tile.key_stride = static_cast<int64_t>(block.kv.block_tokens) * 4;
  tile.sub_begin = (greater(key_begin, first) - first) / kSub;
  tile.sub_end = (lesser(key_end, first + kAttentionTile) - first + kSub - 1) / kSub;
  for (int64_t i = 0; i < kSubs; ++i) {
    const int64_t sub = i < tile.sub_begin || i >= tile.sub_end ? tile.sub_begin : i;
    locate_codes(block, block.kv_head, first + sub * kSub, &tile.keys[i], &tile.values[i], &tile.key_scales[i],
                 &tile.value_scales[i]);
  }
  const bool more = first + kAttentionTile < key_end;
  const int64_t head = more ? block.kv_head : block.next_kv_head;
  const int64_t next = more ? first + kAttentionTile : block.next_key;
  for (int64_t i = 0; i < kSubs; ++i) {
    const int64_t position = next + i * kSub;
    const float *key_scales, *value_scales;
    locate_codes(block, head, position < all_end ? position : next, &tile.next_keys[i], &tile.next_values[i],
                 &key_scales, &value_scales);
    V::prefetch(key_scales);
    V::prefetch(value_scales);
  }
  return tile;
}

// Scores become weights, then, with the values' scales, codes.
template <class V, class D>
void make_codes(const SoftmaxRows<V>& rows, const CodeTile& tile, typename D::Word* codes, float* weight_scale) {
  constexpr int kRegs = kAttentionTile / V::kWidth, kPerSub = kSub / V::kWidth;
  typename V::Reg scale[kRegs], most[V::kWidth];
#pragma GCC unroll 8
  for (int i = 0; i < kRegs; ++i) scale[i] = V::load(tile.value_scales[i / kPerSub] + i % kPerSub * V::kWidth);
  for (int64_t r = 0; r < rows.count; ++r) {
    float* scores = rows.scores + r * kAttentionTile;
    const typename V::Reg top = V::set1(rows.max[r]);
    typename V::Reg x[kRegs], t[kRegs];
#pragma GCC unroll 8
    for (int i = 0; i < kRegs; ++i) {
      x[i] = V::exp2_coarse(V::sub(V::load(scores + i * V::kWidth), top));
      t[i] = V::mul(x[i], scale[i]);
    }
    if (!rows.whole(r)) {
      const Seen seen = rows.seen[r];
#pragma GCC unroll 8
      for (int i = 0; i < kRegs; ++i) {
        t[i] = V::max(V::keep_range(t[i], seen.begin - i * V::kWidth, seen.end - i * V::kWidth), V::zero());
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < kRegs; ++i) {
      V::store(scores + i * V::kWidth, t[i]);
      x[i] = V::fma(t[i], V::zero(), x[i]);  // a scale that is not finite makes the sum NaN
    }
    add_lanes<V>(x, rows.lanes + r * 16);
#pragma GCC unroll 4
    for (int step = 1; step < kRegs; step *= 2) {
#pragma GCC unroll 8
      for (int i = 0; i + step < kRegs; i += 2 * step) t[i] = V::max(t[i], t[i + step]);
    }
    most[r] = t[0];
  }
  float heaviest[V::kWidth];
  greatest_lanes<V>(most, rows.count, heaviest);
  for (int64_t r = 0; r < rows.count; ++r) {
    const float* weights = rows.scores + r * kAttentionTile;
    auto* to = reinterpret_cast<typename D::Code*>(codes + r * (kAttentionTile / 4));
    const typename V::Reg inverse = V::set1(heaviest[r] >= kKvInt8Tiny ? D::kWeightTop / heaviest[r] : 0.0f);
#pragma GCC unroll 8
    for (int i = 0; i < kRegs; ++i) {
      D::store_weights(to + i * V::kWidth, V::mul(V::load(weights + i * V::kWidth), inverse));
    }
    weight_scale[r] = heaviest[r] / D::kWeightTop;
  }
}

template <class V, class D, int R = V::kTileRows>
void code_scores(int64_t rows, const CodeTile& tile, const CodeScratch<D>& s, int64_t first, int64_t dim, bool ahead) {
  if constexpr (R > 1) {
    if (rows < R) return code_scores<V, D, R - 1>(rows, tile, s, first, dim, ahead);
  }
  D::template scores<R>(tile, s.q + first * dim / 4, dim / 4, s.q_start + first, s.q_scale + first,
                        s.scores + first * kAttentionTile, ahead);
}

template <class V, class D, int R = V::kTileRows>
void code_values(int64_t rows, const CodeTile& tile, const CodeScratch<D>& s, int64_t first, int64_t dim, float* out,
                 bool ahead) {
  if constexpr (R > 1) {
    if (rows < R) return code_values<V, D, R - 1>(rows, tile, s, first, dim, out, ahead);
  }
  D::template values<R>(tile, s.weights + first * (kAttentionTile / 4), dim, s.weight_scale + first, out, ahead);
}

// All three phases for rows [begin, end) of the block.
template <class V, class D>
void code_rows(const AttentionBlock& block, const CodeTile& tile, const CodeScratch<D>& s,
               const AttentionPartial& partial, int64_t begin, int64_t end) {
  const AttentionDesc& desc = block.desc;
  const int64_t dim = desc.head_dim;
  for (int64_t r = begin, rows; r < end; r += rows) {
    rows = next_rows<V>(end - r);
    code_scores<V, D>(rows, tile, s, r, dim, r == begin);
  }
  for (int64_t r = begin; r < end; r += V::kWidth) {
    const SoftmaxRows<V> rows = softmax_rows<V>(block, tile.first, partial, s.scores, s.lanes, r, end);
    raise_maxima<V>(desc, rows);
    make_codes<V, D>(rows, tile, s.weights + r * (kAttentionTile / 4), s.weight_scale + r);
  }
  for (int64_t r = begin, rows; r < end; r += rows) {
    rows = next_rows<V>(end - r);
    code_values<V, D>(rows, tile, s, r, dim, partial.out + r * dim, r == begin);
  }
}

template <class V, class D>
void int8_chunk(const AttentionBlock& block, int64_t chunk, const AttentionPartial& partial) {
  const AttentionDesc& desc = block.desc;
  const int64_t group = desc.heads / desc.kv_heads;
  const CodeScratch<D> scratch = code_scratch_of<D>(block);
  clear_partial<V>(block, partial, scratch.lanes);
  const int64_t first_position = block.history + block.row_begin / group;
  const int64_t last_position = block.history + (block.row_end - 1) / group;
  const int64_t key_begin = greater(first_visible_key(desc, first_position), chunk * kAttentionChunk);
  const int64_t key_end = lesser(last_position + 1, (chunk + 1) * kAttentionChunk);
  for (int64_t first = key_begin / kAttentionTile * kAttentionTile; first < key_end; first += kAttentionTile) {
    const Seen rows = rows_that_see(block, first);
    if (rows.begin >= rows.end) continue;
    const CodeTile tile = code_tile_at<V>(block, first, key_begin, key_end, last_position + 1);
    code_rows<V, D>(block, tile, scratch, partial, rows.begin, rows.end);
  }
  sum_lanes<V>(block, partial, scratch.lanes);
}

template <class V>
bool int8_supports(const AttentionDesc& desc, Format format) {
  return format == kKvInt8 && desc.head_dim % 16 == 0 && desc.head_dim <= 256;
}

}  // namespace
}  // namespace tern
