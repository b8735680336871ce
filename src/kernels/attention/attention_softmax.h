// What the bodies of the attention family share, for a register type V (kernels/vector_*.h): which keys a row sees,
// where they lie, the online softmax between a tile's two products, and merging and finishing partials. Included by ISA
// files only.
#pragma once

#include "kernels/attention/attention_impl.h"
#include "kernels/vector_element.h"

namespace tern {
namespace {

constexpr int64_t kSub = 16;  // keys that lie together in every cache: block_tokens is a multiple of it
constexpr int64_t kSubs = kAttentionTile / kSub;
constexpr int64_t kLine = 64;  // bytes of a cache line

inline __attribute__((always_inline)) int64_t lesser(int64_t a, int64_t b) { return a < b ? a : b; }
inline __attribute__((always_inline)) int64_t greater(int64_t a, int64_t b) { return a > b ? a : b; }

// What the row of the token at `position` sees of a tile, counted from the tile's first key.
struct Seen {
  int64_t begin, end;
};
inline __attribute__((always_inline)) Seen seen_of(const AttentionDesc& desc, int64_t position, int64_t first) {
  return {greater(first_visible_key(desc, position) - first, 0), lesser(position + 1 - first, kAttentionTile)};
}

// Key and value of a position and those that follow in its 16-key part: one dimension a row of block_tokens, and one
// key a row of head_dim.
template <class E>
void locate(const AttentionBlock& block, int64_t kv_head, int64_t position, const E** keys, const E** values) {
  const KvLayerView& kv = block.kv;
  const int64_t dim = kv.head_dim, tokens = kv.block_tokens, slot = position % tokens;
  const std::byte* base = kv.pool + block.block_table[position / tokens] * kv.block_bytes;
  *keys = reinterpret_cast<const E*>(base + kv.k_offset) + kv_head * dim * tokens + slot;
  *values = reinterpret_cast<const E*>(base + kv.v_offset) + (kv_head * tokens + slot) * dim;
}

// cap * tanh(x / cap), with tanh(y) = (1 - e^(-2|y|)) / (1 + e^(-2|y|)) and y's sign.
template <class V>
typename V::Reg soft_capped(typename V::Reg x, float cap) {
  const typename V::Reg one = V::set1(1.0f);
  const typename V::Reg e = V::exp(V::mul(V::abs(x), V::set1(-2.0f / cap)));
  return V::mul(V::set1(cap), V::copy_sign(V::div(V::sub(one, e), V::add(one, e)), x));
}

// Some rows of a tile between its two products, at most one register's lanes of them: what concerns one number a row is
// then done for all of them in one register, and no row waits for another's.
template <class V>
struct SoftmaxRows {
  int64_t count;
  Seen seen[V::kWidth];
  float* scores;  // [count, kAttentionTile]
  float* max;     // [count] running, in units of log2 e
  float* lanes;   // [count, 16] running sums of weights, a lane each
  float* out;     // [count, head_dim] running

  bool whole(int64_t r) const { return seen[r].begin <= 0 && seen[r].end >= kAttentionTile; }
};

// Rows [r, end) of the block, or as many as one SoftmaxRows takes.
template <class V>
SoftmaxRows<V> softmax_rows(const AttentionBlock& block, int64_t first, const AttentionPartial& partial, float* scores,
                            float* lanes, int64_t r, int64_t end) {
  const int64_t dim = block.desc.head_dim, group = block.desc.heads / block.desc.kv_heads;
  SoftmaxRows<V> rows{.count = lesser(V::kWidth, end - r),
                      .scores = scores + r * kAttentionTile,
                      .max = partial.max + r,
                      .lanes = lanes + r * 16,
                      .out = partial.out + r * dim};
  for (int64_t i = 0; i < rows.count; ++i) {
    rows.seen[i] = seen_of(block.desc, block.history + (block.row_begin + r + i) / group, first);
  }
  return rows;
}

// out[r] = the greatest lane of x[r], r < count. x: [kWidth].
template <class V>
void greatest_lanes(typename V::Reg* x, int64_t count, float* out) {
  if (count <= V::kWidth / 2) {
    for (int64_t r = 0; r < count; ++r) out[r] = V::reduce_max(x[r]);
    return;
  }
  for (int64_t r = count; r < V::kWidth; ++r) x[r] = x[0];
  V::transpose(x);
#pragma GCC unroll 4
  for (int step = 1; step < V::kWidth; step *= 2) {
#pragma GCC unroll 8
    for (int i = 0; i + step < V::kWidth; i += 2 * step) x[i] = V::max(x[i], x[i + step]);
  }
  V::store(out, x[0]);
}

// Caps and masks the scores and raises the rows' maxima to them; what a row has summed is rescaled when its maximum
// grew.
template <class V>
void raise_maxima(const AttentionDesc& desc, const SoftmaxRows<V>& rows) {
  constexpr int kRegs = kAttentionTile / V::kWidth;
  typename V::Reg largest[V::kWidth];
  for (int64_t r = 0; r < rows.count; ++r) {
    float* scores = rows.scores + r * kAttentionTile;
    const bool whole = rows.whole(r);
    typename V::Reg x[kRegs];
#pragma GCC unroll 8
    for (int i = 0; i < kRegs; ++i) x[i] = V::load(scores + i * V::kWidth);
    if (desc.soft_cap > 0 || !whole) {
      for (int i = 0; i < kRegs; ++i) {
        if (desc.soft_cap > 0) x[i] = soft_capped<V>(x[i], desc.soft_cap * kLog2E);
        if (!whole) x[i] = V::keep_range(x[i], rows.seen[r].begin - i * V::kWidth, rows.seen[r].end - i * V::kWidth);
        V::store(scores + i * V::kWidth, x[i]);
      }
    }
#pragma GCC unroll 4
    for (int step = 1; step < kRegs; step *= 2) {
#pragma GCC unroll 8
      for (int i = 0; i + step < kRegs; i += 2 * step) x[i] = V::max(x[i], x[i + step]);
    }
    largest[r] = x[0];
  }
  float tile_max[V::kWidth];
  greatest_lanes<V>(largest, rows.count, tile_max);
  for (int64_t r = 0; r < rows.count; ++r) {
    if (!(tile_max[r] > rows.max[r])) continue;
    const typename V::Reg shrink = V::exp2_of_negative(V::set1(rows.max[r] - tile_max[r]));
    rows.max[r] = tile_max[r];
    float *lanes = rows.lanes + r * 16, *out = rows.out + r * desc.head_dim;
    V::store(lanes, V::mul(V::load(lanes), shrink));
    for (int64_t d = 0; d < desc.head_dim; d += V::kWidth) V::store(out + d, V::mul(V::load(out + d), shrink));
  }
}

// lanes += x[0] + ... + x[kAttentionTile / kWidth - 1], by halves.
template <class V>
inline __attribute__((always_inline)) void add_lanes(typename V::Reg* x, float* lanes) {
  constexpr int kRegs = kAttentionTile / V::kWidth;
#pragma GCC unroll 4
  for (int step = 1; step < kRegs; step *= 2) {
#pragma GCC unroll 8
    for (int i = 0; i + step < kRegs; i += 2 * step) x[i] = V::add(x[i], x[i + step]);
  }
  V::store(lanes, V::add(V::load(lanes), x[0]));
}

// Scores become weights, in place.
template <class V>
void make_weights(const SoftmaxRows<V>& rows) {
  constexpr int kRegs = kAttentionTile / V::kWidth;
  for (int64_t r = 0; r < rows.count; ++r) {
    float* scores = rows.scores + r * kAttentionTile;
    const typename V::Reg top = V::set1(rows.max[r]);
    typename V::Reg x[kRegs];
#pragma GCC unroll 8
    for (int i = 0; i < kRegs; ++i) {
      x[i] = V::exp2_of_negative(V::sub(V::load(scores + i * V::kWidth), top));
      V::store(scores + i * V::kWidth, x[i]);
    }
    add_lanes<V>(x, rows.lanes + r * 16);
  }
}

// An empty share for every row; `lanes` collects the sums of weights until sum_lanes().
template <class V>
void clear_partial(const AttentionBlock& block, const AttentionPartial& partial, float* lanes) {
  const int64_t rows = block.row_end - block.row_begin;
  for (int64_t r = 0; r < rows; ++r) {
    partial.max[r] = -__builtin_inff();
    partial.sum[r] = 0;
    V::store(lanes + r * 16, V::zero());
  }
  for (int64_t i = 0; i < rows * block.desc.head_dim; i += V::kWidth) V::store(partial.out + i, V::zero());
}

template <class V>
void sum_lanes(const AttentionBlock& block, const AttentionPartial& partial, const float* lanes) {
  const int64_t rows = block.row_end - block.row_begin;
  for (int64_t r = 0; r < rows; ++r) partial.sum[r] = V::reduce_add(V::load(lanes + r * 16));
}

// The block's rows that see some of `keys` keys from `first` on: those at positions [first, first + keys + window - 2],
// or up to the end of the last key's multiple of the window.
inline Seen rows_that_see(const AttentionBlock& block, int64_t first, int64_t keys = kAttentionTile) {
  const int64_t group = block.desc.heads / block.desc.kv_heads, window = block.desc.window;
  const int64_t begin = greater((first - block.history) * group, block.row_begin);
  const int64_t last = first + keys - 1;
  const int64_t beyond = block.desc.chunked ? (last / window + 1) * window : last + window;
  const int64_t end = window > 0 ? lesser((beyond - block.history) * group, block.row_end) : block.row_end;
  return {begin - block.row_begin, end - block.row_begin};
}

// ---- partials ------------------------------------------------------------------------------------------------------

// What concerns one number a row is done for a register of rows at a time.
template <class V>
void attention_merge(const AttentionPartial& into, const AttentionPartial& from, int64_t begin, int64_t end,
                     int64_t dim) {
  for (int64_t first = begin; first < end; first += V::kWidth) {
    const int64_t count = lesser(V::kWidth, end - first);
    float max[V::kWidth] = {}, sum[V::kWidth], a[V::kWidth], b[V::kWidth];
    for (int64_t i = 0; i < count; ++i) {
      const int64_t r = first + i;
      max[i] = into.sum[r] == 0 || from.max[r] > into.max[r] ? from.max[r] : into.max[r];
    }
    const typename V::Reg top = V::load(max);
    const typename V::Reg keep = V::exp2_of_negative(V::sub(V::load(into.max + first, count), top));
    const typename V::Reg add = V::exp2_of_negative(V::sub(V::load(from.max + first, count), top));
    V::store(a, keep);
    V::store(b, add);
    V::store(sum, V::fma(V::load(from.sum + first, count), add, V::mul(V::load(into.sum + first, count), keep)));
    for (int64_t i = 0; i < count; ++i) {
      const int64_t r = first + i;
      if (from.sum[r] == 0) continue;
      into.sum[r] = sum[i];
      into.max[r] = max[i];
      const typename V::Reg old = V::set1(a[i]), fresh = V::set1(b[i]);
      for (int64_t d = r * dim; d < (r + 1) * dim; d += V::kWidth) {
        V::store(into.out + d, V::fma(V::load(from.out + d), fresh, V::mul(V::load(into.out + d), old)));
      }
    }
  }
}

// What a row's output is multiplied by: 1 / (sum of weights, the head's sink among them). With a sink above the row's
// maximum both are taken relative to the sink.
template <class V>
typename V::Reg output_share(const AttentionDesc& desc, int64_t head, float max, float sum) {
  if (desc.sinks == nullptr) return V::set1(1.0f / sum);
  const float sink = desc.sinks[head] * kLog2E, top = sink > max ? sink : max;
  const float keep = V::first(V::exp2_of_negative(V::set1(max - top)));
  const float share = V::first(V::exp2_of_negative(V::set1(sink - top)));
  return V::set1(keep / (sum * keep + share));
}

template <class V>
void attention_finish(const AttentionBlock& block, const AttentionPartial& partial, int64_t begin, int64_t end) {
  const int64_t dim = block.desc.head_dim, group = block.desc.heads / block.desc.kv_heads;
  for (int64_t r = begin; r < end; ++r) {
    const int64_t row = block.row_begin + r;
    const int64_t head = block.kv_head * group + row % group;
    float* out = block.out + ((row / group) * block.desc.heads + head) * dim;
    const typename V::Reg share = output_share<V>(block.desc, head, partial.max[r], partial.sum[r]);
    for (int64_t d = 0; d < dim; d += V::kWidth) V::store(out + d, V::mul(V::load(partial.out + r * dim + d), share));
  }
}

}  // namespace
}  // namespace tern
