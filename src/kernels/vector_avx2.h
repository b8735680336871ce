// 8 floats in a ymm register, as the shared bodies of the vector kernels see them. Included by *_avx2.cpp only;
// everything is local to the including file.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/prefetch.h"
#include "kernels/vector_element.h"

namespace tern {
namespace {

struct Avx2 {
  using Reg = __m256;
  static constexpr int kWidth = 8;
  // Register tile of the small products: 3 x 4 sums, 3 factors of the rows and one of the columns in 16 registers.
  static constexpr int kTileRows = 3;
  static constexpr int kTileCols = 4;

  static Reg zero() { return _mm256_setzero_ps(); }
  static Reg set1(float x) { return _mm256_set1_ps(x); }
  [[gnu::always_inline]] static void prefetch(const void* p) { prefetch_l2(p); }
  static Reg add(Reg a, Reg b) { return _mm256_add_ps(a, b); }
  static Reg sub(Reg a, Reg b) { return _mm256_sub_ps(a, b); }
  static Reg mul(Reg a, Reg b) { return _mm256_mul_ps(a, b); }
  static Reg div(Reg a, Reg b) { return _mm256_div_ps(a, b); }
  static Reg max(Reg a, Reg b) { return _mm256_max_ps(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }  // a * b + c
  static Reg fms(Reg a, Reg b, Reg c) { return _mm256_fmsub_ps(a, b, c); }  // a * b - c
  static Reg fma_odd(Reg a, Reg b, Reg c) {
    return _mm256_fmaddsub_ps(a, b, c);
  }  // a * b + c in odd lanes, - c in even
  static Reg abs(Reg a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
  static Reg copy_sign(Reg magnitude, Reg sign) {
    return _mm256_or_ps(abs(magnitude), _mm256_and_ps(_mm256_set1_ps(-0.0f), sign));
  }
  static float reduce_max(Reg a) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
  }
  static float reduce_add(Reg a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
  }
  static float first(Reg a) { return _mm256_cvtss_f32(a); }
  static Reg swap_pairs(Reg a) { return _mm256_permute_ps(a, 0xb1); }

  static __m256i lane_index() { return _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0); }
  // All ones in lanes below `count`.
  static __m256i lanes(int64_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int32_t>(count)), lane_index());
  }
  static Reg load(const float* p) { return _mm256_loadu_ps(p); }
  static Reg load(const ElementF16* p) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
  static Reg load(const ElementBF16* p) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
  // The first `count` lanes; the others are zero.
  static Reg load(const float* p, int64_t count) { return _mm256_maskload_ps(p, lanes(count)); }
  // Each of the first `pairs` (<= 4) floats twice; the others are zero.
  static Reg load_pairs(const float* p, int64_t pairs) {
    return _mm256_permutevar8x32_ps(load(p, pairs), _mm256_set_epi32(3, 3, 2, 2, 1, 1, 0, 0));
  }
  static void store(float* p, Reg a) { _mm256_storeu_ps(p, a); }
  static void store(float* p, Reg a, int64_t count) { _mm256_maskstore_ps(p, lanes(count), a); }
  static void store(ElementF16* p, Reg a, int64_t count) {
    store_halves(p, _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), count);
  }
  static void store(ElementBF16* p, Reg a, int64_t count) {
    const __m256i bits = _mm256_castps_si256(a);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
    const __m256i high = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
    store_halves(p, _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1)), count);
  }
  // To the nearest integers, ties to even; lanes are within a byte.
  static void store(int8_t* p, Reg a) {
    const __m256i wide = _mm256_cvtps_epi32(a);
    const __m128i halves = _mm_packs_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(halves, halves));
  }
  // Lanes [begin, end) of a, -infinity elsewhere. begin and end may lie outside the register.
  static Reg keep_range(Reg a, int64_t begin, int64_t end) {
    const __m256i kept = _mm256_andnot_si256(lanes(begin), lanes(end));
    return _mm256_blendv_ps(_mm256_set1_ps(-__builtin_inff()), a, _mm256_castsi256_ps(kept));
  }

  // As Avx512::exp, with 2^n added to the exponent's bits.
  static Reg exp(Reg x) {
    const __m256 underflow = _mm256_cmp_ps(x, _mm256_set1_ps(kExpLowest), _CMP_LT_OQ);
    x = _mm256_min_ps(_mm256_set1_ps(kExpHighest), _mm256_max_ps(_mm256_set1_ps(kExpLowest), x));
    const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(kLog2E)), 8);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(kLn2High), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(kLn2Low), r);
    __m256 p = _mm256_set1_ps(kExpSeries[0]);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(kExpSeries[1]));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(kExpSeries[2]));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(kExpSeries[3]));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(kExpSeries[4]));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    const __m256i power = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    const __m256 scaled = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), power));
    // A NaN has no exponent to add to: it goes through as it came.
    const __m256 result = _mm256_blendv_ps(scaled, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    return _mm256_andnot_ps(underflow, result);
  }

  // 2^x for x <= 0, relative error below 2e-7. Everything below kExp2Lowest counts as that: 2e-38, nothing beside the 1
  // of a softmax's greatest score. NaN stays NaN.
  static Reg exp2_of_negative(Reg x) {
    x = _mm256_max_ps(_mm256_set1_ps(kExp2Lowest), x);
    const __m256 n = _mm256_round_ps(x, 8);
    const __m256 f = _mm256_sub_ps(x, n);
    __m256 p = _mm256_set1_ps(kExp2Series[0]);
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(kExp2Series[1]));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(kExp2Series[2]));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(kExp2Series[3]));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(kExp2Series[4]));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(1.0f));
    const __m256i power = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), power));
  }

  // 2^x for x <= 0, relative error below 1.1e-4: for weights that are rounded to 8 bits afterwards. As Avx512's, but
  // everything below kExp2Lowest counts as that.
  static Reg exp2_coarse(Reg x) {
    x = _mm256_max_ps(_mm256_set1_ps(kExp2Lowest), x);
    const __m256 n = _mm256_floor_ps(x);
    const __m256 f = _mm256_sub_ps(x, n);
    __m256 p = _mm256_set1_ps(kExp2Cubic[0]);
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(kExp2Cubic[1]));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(kExp2Cubic[2]));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(1.0f));
    const __m256i power = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), power));
  }

  // rows[i][j] -> rows[j][i].
  static void transpose(Reg rows[8]) {
    __m256 t[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {  // pairs of rows
      t[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
      t[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {  // fours: 4 x 4 squares in each 128-bit lane
      rows[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
      rows[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
      rows[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
      rows[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {  // then the 128-bit lanes
      t[i] = _mm256_permute2f128_ps(rows[i], rows[i + 4], 0x20);
      t[i + 4] = _mm256_permute2f128_ps(rows[i], rows[i + 4], 0x31);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) rows[i] = t[i];
  }

 private:
  static void store_halves(void* p, __m128i halves, int64_t count) {
    if (count >= kWidth) {
      _mm_storeu_si128(static_cast<__m128i*>(p), halves);
      return;
    }
    __builtin_memcpy(p, &halves, static_cast<size_t>(count) * 2);
  }
};

}  // namespace
}  // namespace tern
