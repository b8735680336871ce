// What lies between attention's two tile products: 16 rows' scores of 64 keys become bf16 weights. Included by
// attention_amx.cpp only.
//
// Weights are powers of a row's score above its level (scores and levels in units of log2 e). The level is the greatest
// score of the first 64 keys of a chunk that the row sees, and follows the running maximum only when that leaves it by
// kSlack: a softmax does not care, and a weight of 2^kSlack is as exact as one of 1. So what has been summed is hardly
// ever rescaled, and no maximum is looked for but at the beginning: that no score is above the level by more is one
// comparison a row. Weights are rounded to bf16 for the product; their sum is that of the numbers before rounding.
#pragma once

#include "kernels/attention/attention_pack_amx.h"

namespace tern {
namespace {

constexpr float kSlack = 8;

// At most 16 rows in a tile of 64 keys. Register tiles lie together: 16 rows of 64 bytes.
struct RowTile {
  int64_t count;
  const int64_t* position;  // [count]
  int64_t first;            // absolute position of the first key
  float* scores;            // [kSubs, 16 rows, 16 keys]
  uint32_t* weights;        // [kTileSteps, 16 rows, 16 pairs of keys]
  float* level;             // [count] -infinity until a row sees its first key
  float* lanes;             // [count, 16] running sums of weights, a lane each
  float* out;               // [count, head_dim] running

  float* scores_at(int64_t part, int64_t r) const { return scores + part * 256 + r * 16; }
};

// Scores that are capped, or of which a row does not see all, are replaced where they lie: unseen ones by -infinity.
void replace_scores(const RowTile& rows, int64_t r, Seen seen, float cap) {
  for (int64_t part = 0; part < kSubs; ++part) {
    float* at = rows.scores_at(part, r);
    __m512 x = _mm512_loadu_ps(at);
    if (cap > 0) x = soft_capped<Avx512>(x, cap * kLog2E);
    _mm512_storeu_ps(at, Avx512::keep_range(x, seen.begin - part * kSub, seen.end - part * kSub));
  }
}

inline __attribute__((always_inline)) __m512 greatest_of(const RowTile& rows, int64_t r) {
  const __m512 a = _mm512_max_ps(_mm512_loadu_ps(rows.scores_at(0, r)), _mm512_loadu_ps(rows.scores_at(1, r)));
  const __m512 b = _mm512_max_ps(_mm512_loadu_ps(rows.scores_at(2, r)), _mm512_loadu_ps(rows.scores_at(3, r)));
  return _mm512_max_ps(a, b);
}

void raise_level(const RowTile& rows, int64_t r, float level, int64_t dim) {
  const __m512 shrink = Avx512::exp2_of_negative(_mm512_set1_ps(rows.level[r] - level));
  rows.level[r] = level;
  float *lanes = rows.lanes + r * 16, *out = rows.out + r * dim;
  _mm512_storeu_ps(lanes, _mm512_mul_ps(_mm512_loadu_ps(lanes), shrink));
  for (int64_t d = 0; d < dim; d += 16) _mm512_storeu_ps(out + d, _mm512_mul_ps(_mm512_loadu_ps(out + d), shrink));
}

// Where some row has no level yet.
void set_levels(const RowTile& rows, int64_t dim) {
  __m512 most[16];
  for (int64_t r = 0; r < rows.count; ++r) most[r] = greatest_of(rows, r);
  float greatest[16];
  greatest_lanes<Avx512>(most, rows.count, greatest);
  for (int64_t r = 0; r < rows.count; ++r) {
    if (rows.level[r] == -__builtin_inff()) {
      rows.level[r] = greatest[r];
    } else if (greatest[r] > rows.level[r] + kSlack) {
      raise_level(rows, r, greatest[r], dim);
    }
  }
}

void raise_levels(const RowTile& rows, int64_t dim) {
  for (int64_t r = 0; r < rows.count; ++r) {
    const __m512 most = greatest_of(rows, r);
    if (_mm512_cmp_ps_mask(most, _mm512_set1_ps(rows.level[r] + kSlack), _CMP_GT_OQ) == 0) continue;
    raise_level(rows, r, _mm512_reduce_max_ps(most), dim);
  }
}

void clear_weights(const RowTile& rows, int64_t r) {
  for (int64_t step = 0; step < kTileSteps; ++step) {
    _mm512_storeu_si512(rows.weights + step * 256 + r * 16, _mm512_setzero_si512());
  }
}

// Unseen keys have weight 0: their score is -infinity.
void make_row_weights(const RowTile& rows, int64_t r) {
  const __m512 level = _mm512_set1_ps(rows.level[r]);
  __m512 x[kSubs];
#pragma GCC unroll 4
  for (int64_t part = 0; part < kSubs; ++part) {
    x[part] = Avx512::exp2_coarse(_mm512_sub_ps(_mm512_loadu_ps(rows.scores_at(part, r)), level));
  }
#pragma GCC unroll 2
  for (int64_t step = 0; step < kTileSteps; ++step) {
    _mm512_storeu_si512(rows.weights + step * 256 + r * 16,
                        reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(x[2 * step + 1], x[2 * step])));
  }
  add_lanes<Avx512>(x, rows.lanes + r * 16);
}

void make_tile_weights(const AttentionDesc& desc, const RowTile& rows) {
  Seen seen[16];
  bool fresh = false;
  for (int64_t r = 0; r < rows.count; ++r) {
    seen[r] = seen_of(desc, rows.position[r], rows.first);
    if (desc.soft_cap > 0 || seen[r].begin > 0 || seen[r].end < kAttentionTile) {
      replace_scores(rows, r, seen[r], desc.soft_cap);
    }
    fresh = fresh || rows.level[r] == -__builtin_inff();
  }
  fresh ? set_levels(rows, desc.head_dim) : raise_levels(rows, desc.head_dim);
  for (int64_t r = 0; r < rows.count; ++r) {
    seen[r].begin < seen[r].end ? make_row_weights(rows, r) : clear_weights(rows, r);
  }
}

// out[r] = the sum of row r's lanes, by halves. lanes: [count, 16].
void sum_of_lanes(const float* lanes, int64_t count, float* out) {
  __m512 x[16];
  for (int64_t r = 0; r < 16; ++r) x[r] = _mm512_loadu_ps(lanes + lesser(r, count - 1) * 16);
  Avx512::transpose(x);
#pragma GCC unroll 4
  for (int step = 8; step > 0; step /= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < step; ++i) x[i] = _mm512_add_ps(x[i], x[i + step]);
  }
  Avx512::store(out, x[0], count);
}

}  // namespace
}  // namespace tern
