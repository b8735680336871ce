// The integer products of attention over an int8 cache, with VNNI: 64 multiply-adds an instruction, an unsigned operand
// by a signed one. Included by attention_avx512.cpp only.
#pragma once

#include <immintrin.h>

#include "kernels/attention/attention_int8.h"
#include "kernels/vector_avx512.h"

namespace tern {
namespace {

struct Avx512Codes {
  using Code = int8_t;   // of a query: signed; of a weight: the bits of an unsigned byte
  using Word = int32_t;  // four codes: what an instruction broadcasts
  static constexpr float kQueryTop = 127.0f;
  static constexpr float kWeightTop = 255.0f;

  static void store_query(int8_t* p, __m512 x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(x)));
  }
  static void store_weights(int8_t* p, __m512 x) {
    const __m512i codes = _mm512_max_epi32(_mm512_cvtps_epi32(x), _mm512_setzero_si512());  // NaN gives a negative one
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtusepi32_epi8(codes));
  }

  // out[r, 64 keys]
  template <int R>
  static void scores(const CodeTile& tile, const int32_t* q, int64_t depth, const int32_t* start, const float* q_scale,
                     float* out, bool ahead) {
    ahead ? scores_of<R, true>(tile, q, depth, start, q_scale, out)
          : scores_of<R, false>(tile, q, depth, start, q_scale, out);
  }

  // out[r, dim] += w_scale[r] * sum of w[r, key] V[key, :]
  template <int R>
  static void values(const CodeTile& tile, const int32_t* w, int64_t dim, const float* w_scale, float* out,
                     bool ahead) {
    int64_t d = 0;
    // Few rows in passes of one line a key, as in attention_tiles.h; wider ones measured the same.
    for (; ahead && d + 32 <= dim; d += 32) values_of<R, 2, true>(tile, w, dim, d, w_scale, out);
    for (; d + 64 <= dim; d += 64) values_of<R, 4, false>(tile, w, dim, d, w_scale, out);
    for (; d < dim; d += 16) values_of<R, 1, true>(tile, w, dim, d, w_scale, out);
  }

 private:
  // Unsigned times signed bytes. Not the intrinsic: g++ 12 copies its accumulator before and after each, and with 24 of
  // them in registers spills most (a third of the rate).
  static inline __attribute__((always_inline)) __m512i add_dots(__m512i sum, __m512i unsigned_bytes,
                                                                __m512i signed_bytes) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(unsigned_bytes), "v"(signed_bytes));
    return sum;
  }
  template <int R, bool kAhead>
  static __attribute__((noinline)) void scores_of(const CodeTile& tile, const int32_t* q, int64_t depth,
                                                  const int32_t* start, const float* q_scale, float* out) {
    __m512i sum[R][kSubs];
    const uint8_t* keys[kSubs];
    const uint8_t* next[kSubs];
#pragma GCC unroll 4
    for (int c = 0; c < kSubs; ++c) {
      keys[c] = tile.keys[c];
      next[c] = tile.next_keys[c];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) sum[r][c] = _mm512_set1_epi32(start[r]);
    }
    const int64_t stride = tile.key_stride;
    for (int64_t k = 0; k < depth; ++k) {
      __m512i factor[R];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) factor[r] = _mm512_set1_epi32(q[r * depth + k]);
#pragma GCC unroll 4
      for (int c = 0; c < kSubs; ++c) {
        if constexpr (kAhead) Avx512::prefetch(next[c] + k * stride);
        const __m512i key = _mm512_loadu_si512(keys[c] + k * stride);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) sum[r][c] = add_dots(sum[r][c], key, factor[r]);
      }
    }
#pragma GCC unroll 4
    for (int c = 0; c < kSubs; ++c) {
      const __m512 scale = _mm512_loadu_ps(tile.key_scales[c]);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(q_scale[r]));
        _mm512_storeu_ps(out + r * kAttentionTile + c * kSub, _mm512_mul_ps(_mm512_cvtepi32_ps(sum[r][c]), both));
      }
    }
  }

  // Dimensions [d, d + 16 C).
  template <int R, int C, bool kAhead>
  static __attribute__((noinline)) void values_of(const CodeTile& tile, const int32_t* w, int64_t dim, int64_t d,
                                                  const float* w_scale, float* out) {
    __m512i sum[R][C];
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) sum[r][c] = _mm512_setzero_si512();
    }
    for (int64_t sub = tile.sub_begin; sub < tile.sub_end; ++sub) {
      const int8_t* values = tile.values[sub] + d * 4;
      const int8_t* next = tile.next_values[sub] + d * 4;
      for (int64_t j = 0; j < kSub / 4; ++j) {
        __m512i factor[R];
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) factor[r] = _mm512_set1_epi32(w[r * (kAttentionTile / 4) + sub * (kSub / 4) + j]);
#pragma GCC unroll 4
        for (int c = 0; c < C; ++c) {
          if constexpr (kAhead) Avx512::prefetch(next + j * dim * 4 + c * 64);
          const __m512i value = _mm512_loadu_si512(values + j * dim * 4 + c * 64);
#pragma GCC unroll 8
          for (int r = 0; r < R; ++r) sum[r][c] = add_dots(sum[r][c], factor[r], value);
        }
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) {
        float* at = out + r * dim + d + c * 16;
        _mm512_storeu_ps(
            at, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[r][c]), _mm512_set1_ps(w_scale[r]), _mm512_loadu_ps(at)));
      }
    }
  }
};

}  // namespace
}  // namespace tern
