// 16 floats in a zmm register, as the shared bodies of the vector kernels see them. Included by *_avx512.cpp only;
// everything is local to the including file.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/prefetch.h"
#include "kernels/vector_element.h"

namespace tern {
namespace {

struct Avx512 {
  using Reg = __m512;
  static constexpr int kWidth = 16;
  // Register tile of the small products: 6 x 4 sums, 6 factors of the rows and one of the columns in 32 registers.
  static constexpr int kTileRows = 6;
  static constexpr int kTileCols = 4;

  static Reg zero() { return _mm512_setzero_ps(); }
  static Reg set1(float x) { return _mm512_set1_ps(x); }
  [[gnu::always_inline]] static void prefetch(const void* p) { prefetch_l2(p); }
  static Reg add(Reg a, Reg b) { return _mm512_add_ps(a, b); }
  static Reg sub(Reg a, Reg b) { return _mm512_sub_ps(a, b); }
  static Reg mul(Reg a, Reg b) { return _mm512_mul_ps(a, b); }
  static Reg div(Reg a, Reg b) { return _mm512_div_ps(a, b); }
  static Reg max(Reg a, Reg b) { return _mm512_max_ps(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }  // a * b + c
  static Reg fms(Reg a, Reg b, Reg c) { return _mm512_fmsub_ps(a, b, c); }  // a * b - c
  static Reg fma_odd(Reg a, Reg b, Reg c) {
    return _mm512_fmaddsub_ps(a, b, c);
  }  // a * b + c in odd lanes, - c in even
  static Reg abs(Reg a) { return _mm512_abs_ps(a); }
  static Reg copy_sign(Reg magnitude, Reg sign) {
    const __m512 bit = _mm512_set1_ps(-0.0f);
    return _mm512_or_ps(_mm512_andnot_ps(bit, magnitude), _mm512_and_ps(bit, sign));
  }
  static float reduce_max(Reg a) { return _mm512_reduce_max_ps(a); }
  static float reduce_add(Reg a) { return _mm512_reduce_add_ps(a); }
  static float first(Reg a) { return _mm512_cvtss_f32(a); }
  static Reg swap_pairs(Reg a) { return _mm512_permute_ps(a, 0xb1); }

  static __mmask16 lanes(int64_t count) {
    return static_cast<__mmask16>(count >= kWidth ? 0xffffu : (1u << count) - 1u);
  }
  static Reg load(const float* p) { return _mm512_loadu_ps(p); }
  static Reg load(const ElementF16* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Reg load(const ElementBF16* p) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
  }
  // The first `count` lanes; the others are zero.
  static Reg load(const float* p, int64_t count) { return _mm512_maskz_loadu_ps(lanes(count), p); }
  // Each of the first `pairs` (<= 8) floats twice; the others are zero.
  static Reg load_pairs(const float* p, int64_t pairs) {
    const __m512i twice = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
    return _mm512_permutexvar_ps(twice, load(p, pairs));
  }
  static void store(float* p, Reg a) { _mm512_storeu_ps(p, a); }
  static void store(float* p, Reg a, int64_t count) { _mm512_mask_storeu_ps(p, lanes(count), a); }
  static void store(ElementF16* p, Reg a, int64_t count) {
    _mm256_mask_storeu_epi16(p, lanes(count), _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  // Round to nearest even in integers: vcvtneps2bf16 would flush subnormals, the reference does not.
  static void store(ElementBF16* p, Reg a, int64_t count) {
    const __m512i bits = _mm512_castps_si512(a);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
    rounded = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
    _mm256_mask_storeu_epi16(p, lanes(count), _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16)));
  }
  // To the nearest integers, ties to even; lanes are within a byte.
  static void store(int8_t* p, Reg a) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(a)));
  }
  // Lanes [begin, end) of a, -infinity elsewhere. begin and end may lie outside the register.
  static Reg keep_range(Reg a, int64_t begin, int64_t end) {
    const __mmask16 before = end <= 0 ? 0 : lanes(end);
    const __mmask16 skipped = begin <= 0 ? 0 : lanes(begin);
    return _mm512_mask_blend_ps(static_cast<__mmask16>(before & ~skipped), _mm512_set1_ps(-__builtin_inff()), a);
  }

  // e^x, relative error below 4e-7: x = n ln 2 + r with |r| <= 0.35, the series of e^r to r^6, times 2^n. 0 below
  // kExpLowest, e^kExpHighest above that; NaN stays NaN.
  static Reg exp(Reg x) {
    const __mmask16 underflow = _mm512_cmp_ps_mask(x, _mm512_set1_ps(kExpLowest), _CMP_LT_OQ);
    x = _mm512_min_ps(_mm512_set1_ps(kExpHighest), _mm512_max_ps(_mm512_set1_ps(kExpLowest), x));
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(kLog2E)), 8);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(kLn2High), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(kLn2Low), r);
    __m512 p = _mm512_set1_ps(kExpSeries[0]);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExpSeries[1]));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExpSeries[2]));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExpSeries[3]));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExpSeries[4]));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    p = _mm512_scalef_ps(p, n);
    return _mm512_mask_mov_ps(p, underflow, _mm512_setzero_ps());
  }

  // 2^x for x <= 0, relative error below 2e-7. Everything below kExp2Lowest counts as that: 2e-38, nothing beside the 1
  // of a softmax's greatest score. NaN stays NaN.
  static Reg exp2_of_negative(Reg x) {
    x = _mm512_max_ps(_mm512_set1_ps(kExp2Lowest), x);
    const __m512 n = _mm512_roundscale_ps(x, 8);
    const __m512 f = _mm512_sub_ps(x, n);
    __m512 p = _mm512_set1_ps(kExp2Series[0]);
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(kExp2Series[1]));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(kExp2Series[2]));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(kExp2Series[3]));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(kExp2Series[4]));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, n);
  }

  // 2^x for x <= 0, relative error below 1.1e-4: for weights that are rounded to bf16 (2e-3) or to 8 bits afterwards.
  // The fraction x - floor(x) goes through a cubic, scalef takes the floor itself: 7 instructions' work instead of 13.
  // NaN stays NaN, -infinity gives 0.
  static Reg exp2_coarse(Reg x) {
    const __m512 f = _mm512_reduce_ps(x, 9);  // against the floor
    __m512 p = _mm512_set1_ps(kExp2Cubic[0]);
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(kExp2Cubic[1]));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(kExp2Cubic[2]));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, x);
  }

  // rows[i][j] -> rows[j][i].
  static void transpose(Reg rows[16]) {
    __m512 t[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {  // pairs of rows
      t[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
      t[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {  // fours: 4 x 4 squares in each 128-bit lane
      rows[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
      rows[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
      rows[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
      rows[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {  // then the 128-bit lanes
      t[i] = _mm512_shuffle_f32x4(rows[i], rows[i + 4], 0x88);
      t[i + 4] = _mm512_shuffle_f32x4(rows[i], rows[i + 4], 0xdd);
      t[i + 8] = _mm512_shuffle_f32x4(rows[i + 8], rows[i + 12], 0x88);
      t[i + 12] = _mm512_shuffle_f32x4(rows[i + 8], rows[i + 12], 0xdd);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      rows[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
      rows[i + 4] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88);
      rows[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
      rows[i + 12] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd);
    }
  }
};

}  // namespace
}  // namespace tern
