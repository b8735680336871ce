// What lies between attention's two tile products: 16 rows' scores of a whole chunk become bf16 weights, their sum and
// their maximum. Included by attention_amx.cpp only.
//
// A chunk is one softmax: its maximum is known before the first weight is made, so nothing is ever rescaled but when
// chunks are merged. Scores and maxima are in units of log2 e. Weights are rounded to bf16 for the product; their sum
// is that of the numbers before rounding.
#pragma once

#include "kernels/attention/attention_pack_amx.h"

namespace tern {
namespace {

// At most 16 rows that each see a key of the chunk. Tiles lie together: 16 rows of 64 bytes.
struct RowTile {
  int64_t count;
  Seen seen[16];      // keys of the chunk
  float* scores;      // [kChunkParts, 16 rows, 16 keys]
  uint32_t* weights;  // [kChunkSteps, 16 rows, 16 pairs of keys]
  float* max;         // [count]
  float* sum;         // [count]

  float* scores_at(int64_t part, int64_t r) const { return scores + part * 256 + r * 16; }
  uint32_t* weights_at(int64_t step, int64_t r) const { return weights + step * 256 + r * 16; }
  bool whole(int64_t r, Seen steps) const {
    return seen[r].begin <= steps.begin * 2 * kSub && seen[r].end >= steps.end * 2 * kSub;
  }
};

inline __mmask16 seen_lanes(Seen seen, int64_t part) {
  return static_cast<__mmask16>(Avx512::lanes(greater(seen.end - part * kSub, 0)) &
                                ~Avx512::lanes(greater(seen.begin - part * kSub, 0)));
}

// Scores of a row that are capped, or of which it does not see all, are replaced where they lie: unseen ones by
// -infinity.
void replace_scores(const RowTile& rows, int64_t r, Seen steps, float cap) {
  const __m512 unseen = _mm512_set1_ps(-__builtin_inff());
  for (int64_t part = 2 * steps.begin; part < 2 * steps.end; ++part) {
    float* at = rows.scores_at(part, r);
    __m512 x = _mm512_loadu_ps(at);
    if (cap > 0) x = soft_capped<Avx512>(x, cap * kLog2E);
    _mm512_storeu_ps(at, _mm512_mask_mov_ps(unseen, seen_lanes(rows.seen[r], part), x));
  }
}

// out[r] = the sum of x[r]'s lanes, by halves, in the same order for any count. x: [16].
void sum_of_lanes(__m512* x, int64_t count, float* out) {
  for (int64_t r = count; r < 16; ++r) x[r] = x[0];
  Avx512::transpose(x);
#pragma GCC unroll 4
  for (int step = 8; step > 0; step /= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < step; ++i) x[i] = _mm512_add_ps(x[i], x[i + step]);
  }
  Avx512::store(out, x[0], count);
}

void find_maxima(const AttentionDesc& desc, const RowTile& rows, Seen steps) {
  __m512 most[16];
  for (int64_t r = 0; r < rows.count; ++r) {
    if (desc.soft_cap > 0 || !rows.whole(r, steps)) replace_scores(rows, r, steps, desc.soft_cap);
    __m512 even = _mm512_set1_ps(-__builtin_inff()), odd = even;
    for (int64_t step = steps.begin; step < steps.end; ++step) {
      even = _mm512_max_ps(even, _mm512_loadu_ps(rows.scores_at(2 * step, r)));
      odd = _mm512_max_ps(odd, _mm512_loadu_ps(rows.scores_at(2 * step + 1, r)));
    }
    most[r] = _mm512_max_ps(even, odd);
  }
  float max[16];
  greatest_lanes<Avx512>(most, rows.count, max);
  for (int64_t r = 0; r < rows.count; ++r) rows.max[r] = max[r];
}

// Unseen keys have weight 0: their score is -infinity.
void make_tile_weights(const AttentionDesc& desc, const RowTile& rows, Seen steps) {
  find_maxima(desc, rows, steps);
  __m512 sums[16];
  for (int64_t r = 0; r < rows.count; ++r) {
    const __m512 top = _mm512_set1_ps(rows.max[r]);
    __m512 sum = _mm512_setzero_ps();
    for (int64_t step = steps.begin; step < steps.end; ++step) {
      const __m512 even = Avx512::exp2_coarse(_mm512_sub_ps(_mm512_loadu_ps(rows.scores_at(2 * step, r)), top));
      const __m512 odd = Avx512::exp2_coarse(_mm512_sub_ps(_mm512_loadu_ps(rows.scores_at(2 * step + 1, r)), top));
      sum = _mm512_add_ps(sum, _mm512_add_ps(even, odd));
      _mm512_storeu_si512(rows.weights_at(step, r), reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(odd, even)));
    }
    sums[r] = sum;
  }
  sum_of_lanes(sums, rows.count, rows.sum);
}

}  // namespace
}  // namespace tern
