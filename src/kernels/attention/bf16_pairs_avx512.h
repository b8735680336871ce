// Elements of a cache as bf16, two rows side by side: the order in which bf16 products take their second operand.
// Included by *_avx512.cpp and *_amx.cpp of this folder only.
#pragma once

#include <immintrin.h>

#include "kernels/vector_avx512.h"

namespace tern {
namespace {

// 16 numbers to 32 bytes.
inline void store_bf16(void* to, __m512 x) {
  _mm256_storeu_si256(static_cast<__m256i*>(to), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
}

// 16 elements of each of two rows, side by side: a0 b0 a1 b1 ...
inline __attribute__((always_inline)) __m512i side_by_side(__m512i halves) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                         5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, halves);
}
inline __attribute__((always_inline)) __m512i pairs_of(const ElementF16* a, const ElementF16* b) {
  return side_by_side(reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(Avx512::load(b), Avx512::load(a))));
}
inline __attribute__((always_inline)) __m512i pairs_of(const ElementBF16* a, const ElementBF16* b) {
  const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a));
  const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b));
  return side_by_side(_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
}

}  // namespace
}  // namespace tern
