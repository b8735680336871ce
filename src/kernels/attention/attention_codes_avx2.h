// The integer products of attention over an int8 cache on AVX2: codes widened to 16 bits, whose pairs' products one
// instruction sums in 32, so queries and weights are coded in 16 bits. Included by attention_avx2.cpp only.
//
// No sum overflows: 255 * 32767 * 256 dimensions, less 128 * 32767 * 256, ends below 2^31 (wrapping in between is
// harmless), and 32767 * 127 * 64 keys is 2^28.
#pragma once

#include <immintrin.h>

#include "kernels/attention/attention_int8.h"
#include "kernels/vector_avx2.h"

namespace tern {
namespace {

struct Avx2Codes {
  using Code = int16_t;
  using Word = int64_t;  // four codes: what an instruction broadcasts
  static constexpr float kQueryTop = 32767.0f;
  static constexpr float kWeightTop = 32767.0f;

  static void store_query(int16_t* p, __m256 x) {
    const __m256i wide = _mm256_cvtps_epi32(x);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                     _mm_packs_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1)));
  }
  static void store_weights(int16_t* p, __m256 x) { store_query(p, x); }

  template <int R>
  static void scores(const CodeTile& tile, const int64_t* q, int64_t depth, const int32_t* start, const float* q_scale,
                     float* out, bool ahead) {
    for (int64_t sub = tile.sub_begin; sub < tile.sub_end; ++sub) {
      __m256i sum[R][4];
      clear(sum);
      for (int64_t k = 0; k < depth; ++k) {
        if (ahead) Avx2::prefetch(tile.next_keys[sub] + k * tile.key_stride);
        const uint8_t* keys = tile.keys[sub] + k * tile.key_stride;
        add<R>(sum, q + k, depth, [&](int c) {
          return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(keys + c * 16)));
        });
      }
      const __m256 scale[2] = {_mm256_loadu_ps(tile.key_scales[sub]), _mm256_loadu_ps(tile.key_scales[sub] + 8)};
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
        for (int h = 0; h < 2; ++h) {
          const __m256i keys = _mm256_add_epi32(joined(sum[r][2 * h], sum[r][2 * h + 1]), _mm256_set1_epi32(start[r]));
          const __m256 both = _mm256_mul_ps(scale[h], _mm256_set1_ps(q_scale[r]));
          _mm256_storeu_ps(out + r * kAttentionTile + sub * kSub + h * 8,
                           _mm256_mul_ps(_mm256_cvtepi32_ps(keys), both));
        }
      }
    }
  }

  template <int R>
  static void values(const CodeTile& tile, const int64_t* w, int64_t dim, const float* w_scale, float* out,
                     bool ahead) {
    for (int64_t d = 0; d < dim; d += 16) {
      __m256i sum[R][4];
      clear(sum);
      for (int64_t sub = tile.sub_begin; sub < tile.sub_end; ++sub) {
        for (int64_t j = 0; j < kSub / 4; ++j) {
          if (ahead) Avx2::prefetch(tile.next_values[sub] + (j * dim + d) * 4);
          const int8_t* values = tile.values[sub] + (j * dim + d) * 4;
          add<R>(sum, w + sub * (kSub / 4) + j, kAttentionTile / 4, [&](int c) {
            return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(values + c * 16)));
          });
        }
      }
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
        for (int h = 0; h < 2; ++h) {
          float* at = out + r * dim + d + h * 8;
          const __m256 part = _mm256_cvtepi32_ps(joined(sum[r][2 * h], sum[r][2 * h + 1]));
          _mm256_storeu_ps(at, _mm256_fmadd_ps(part, _mm256_set1_ps(w_scale[r]), _mm256_loadu_ps(at)));
        }
      }
    }
  }

 private:
  template <int R>
  static inline __attribute__((always_inline)) void clear(__m256i (&sum)[R][4]) {
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int c = 0; c < 4; ++c) sum[r][c] = _mm256_setzero_si256();
    }
  }
  // sum[r][c] += four lanes of codes (a lane: four codes) times row r's word; each lane's sum is in two halves.
  template <int R, class Codes>
  static inline __attribute__((always_inline)) void add(__m256i (&sum)[R][4], const int64_t* words, int64_t stride,
                                                        const Codes& codes) {
    __m256i factor[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) factor[r] = _mm256_set1_epi64x(words[r * stride]);
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      const __m256i wide = codes(c);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) sum[r][c] = _mm256_add_epi32(sum[r][c], _mm256_madd_epi16(wide, factor[r]));
    }
  }
  // The eight lanes whose halves lie side by side in a (lanes 0 to 3) and b (4 to 7).
  static __m256i joined(__m256i a, __m256i b) { return _mm256_permute4x64_epi64(_mm256_hadd_epi32(a, b), 0xd8); }
};

}  // namespace
}  // namespace tern
