// How the AVX2 panels of 8 rows take up and put down their sums. ISA files include this: internal linkage.
#pragma once

#include <immintrin.h>

#include "kernels/linear/panel_run.h"

namespace tern {
namespace {

// What a chunk begins with: zero, or what the chunk before left.
inline __m256 first_sums(const PanelTile& tile, int64_t t) {
  const float* out = tile.out + t * tile.out_stride;
  if (tile.first) return _mm256_setzero_ps();
  if (tile.rows == 8) return _mm256_loadu_ps(out);
  alignas(32) float rows[8] = {};
  for (int r = 0; r < tile.rows; ++r) rows[r] = out[r];
  return _mm256_load_ps(rows);
}

inline void store_rows(__m256 sums, const PanelTile& tile, int64_t t) {
  float* out = tile.out + t * tile.out_stride;
  const float* bias = tile.last ? tile.bias : nullptr;
  if (tile.rows == 8) {
    if (bias != nullptr) sums = _mm256_add_ps(sums, _mm256_loadu_ps(bias));
    return _mm256_storeu_ps(out, sums);
  }
  alignas(32) float rows[8];
  _mm256_store_ps(rows, sums);
  for (int r = 0; r < tile.rows; ++r) out[r] = bias == nullptr ? rows[r] : rows[r] + bias[r];
}

}  // namespace
}  // namespace tern
