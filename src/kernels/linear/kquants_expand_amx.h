// A panel's super-block of the formats of kquants_panel.h as tile products want it: sub-scales multiplied into the
// weights, in two planes of bytes. Included by kquants_kernel_amx.h only; everything is local to it. Pure.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/linear/kquants_panel.h"

namespace tern {
namespace {

#define TERN_INLINE [[gnu::always_inline]] inline

constexpr int kRows = 16;

// Codes of 4 and 5 bits without a zero: not the products with their scales are split into two bytes but the scales,
// into 3 bits each, so that code * (scale & 7) and code * (scale >> 3) are bytes, two of them a multiplication: half
// the instructions. Elsewhere the high byte is signed.
template <class F>
constexpr bool kSplitScale = F::kSubBlock == 32 && F::kMinimum && F::kZero == 0 && F::kLowBits + F::kHighBits <= 5;
// What the sums of the high plane count.
template <class F>
constexpr int kHighShift = kSplitScale<F> ? 3 : 8;

struct alignas(64) Expanded {
  uint8_t low[256 * kRows];  // [64 groups][16 rows][4], as codes lie
  uint8_t high[256 * kRows];
  __m512i minima[8];  // pairs of sub-blocks
  __m512 d, dmin;
};

TERN_INLINE __m512i load_zmm(const uint8_t* from) { return _mm512_loadu_si512(from); }
TERN_INLINE __m256i load_ymm(const uint8_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }

// Moves the bits of every byte up (down when negative); what crosses a byte's border must be masked by the caller.
template <int kBits>
TERN_INLINE __m512i shift(__m512i bytes) {
  if constexpr (kBits > 0) return _mm512_slli_epi16(bytes, kBits);
  if constexpr (kBits < 0) return _mm512_srli_epi16(bytes, -kBits);
  return bytes;
}

// The field of a plane of kBits that belongs to group g, moved to bit kTo.
template <int kBits, int kTo, int g>
TERN_INLINE __m512i field(const uint8_t* plane) {
  constexpr int kFields = 8 / kBits;
  const __m512i moved = shift<kTo - g % kFields * kBits>(load_zmm(plane + g / kFields * 64));
  return _mm512_and_si512(moved, _mm512_set1_epi8(static_cast<char>(((1 << kBits) - 1) << kTo)));
}

// What the codes stand for plus kZero, in every 16 bytes.
template <class F>
TERN_INLINE __m512i table() {
  const __m128i values = _mm_loadu_si128(reinterpret_cast<const __m128i*>(F::kValues));
  return _mm512_broadcast_i32x4(_mm_add_epi8(values, _mm_set1_epi8(static_cast<char>(F::kZero))));
}

// Codes, or what they stand for, of group g (0..7) of the 32 columns whose planes begin at low and high.
template <class F, int g>
TERN_INLINE __m512i group(const uint8_t* low, const uint8_t* high) {
  const __m512i code = field<F::kLowBits, 0, g>(low);
  if constexpr (F::kTable) return _mm512_shuffle_epi8(table<F>(), code);
  if constexpr (F::kHighBits == 0) return code;
  constexpr int kHighBits = F::kHighBits == 0 ? 1 : F::kHighBits;
  return _mm512_or_si512(code, field<kHighBits, F::kLowBits, g>(high));
}

// A sub-block's scale of 16 rows. Split: its lower and its upper half, in 16 bits. Otherwise: in the even bytes (odd
// ones zero), in the odd bytes, and zero * scale in 16 bits.
struct Scale {
  __m512i even, odd, offset;
};
template <class F>
TERN_INLINE Scale scale_of(__m512i lanes) {  // a byte in each 32-bit lane
  const __m512i even = _mm512_or_si512(lanes, _mm512_slli_epi32(lanes, 16));
  if constexpr (kSplitScale<F>) {
    return {_mm512_and_si512(even, _mm512_set1_epi16(7)), _mm512_srli_epi16(even, 3), _mm512_setzero_si512()};
  }
  const __m512i wide = _mm512_srai_epi16(_mm512_slli_epi16(even, 8), 8);
  return {even, _mm512_slli_epi16(even, 8), _mm512_mullo_epi16(wide, _mm512_set1_epi16(F::kZero))};
}

// The scales of the groups 0 to 3 and 4 to 7 of 32 columns.
template <class F>
TERN_INLINE void scales_of(const uint8_t* head, int chunk, Scale& first, Scale& second) {
  using Panel = KPanel<F, kRows>;
  if constexpr (F::kSubBlock == 32) {
    const auto* scales = reinterpret_cast<const __m128i*>(head + Panel::kScalesAt + chunk * 16);
    first = second = scale_of<F>(_mm512_cvtepu8_epi32(_mm_loadu_si128(scales)));
  } else {
    __m512i pairs = _mm512_cvtepu8_epi16(load_ymm(head + Panel::kScalesAt + chunk * 32));
    if constexpr (F::kMinimum) pairs = _mm512_and_si512(pairs, _mm512_set1_epi16(15));
    first = scale_of<F>(_mm512_and_si512(pairs, _mm512_set1_epi32(0xffff)));
    second = scale_of<F>(_mm512_srli_epi32(pairs, 16));
  }
}

template <class F, int g>
TERN_INLINE void expand_group(const uint8_t* low, const uint8_t* high, const Scale& scale, int chunk, Expanded& to) {
  constexpr uint64_t kOddBytes = 0xaaaaaaaaaaaaaaaau;
  const __m512i codes = group<F, g>(low, high);
  const int at = (chunk * 8 + g) * 64;
  if constexpr (kSplitScale<F>) {
    _mm512_store_si512(to.low + at, _mm512_mullo_epi16(codes, scale.even));
    _mm512_store_si512(to.high + at, _mm512_mullo_epi16(codes, scale.odd));
    return;
  }
  __m512i even = _mm512_maddubs_epi16(codes, scale.even);
  __m512i odd = _mm512_maddubs_epi16(codes, scale.odd);
  if constexpr (F::kZero != 0) {
    even = _mm512_sub_epi16(even, scale.offset);
    odd = _mm512_sub_epi16(odd, scale.offset);
  }
  _mm512_store_si512(to.low + at, _mm512_mask_blend_epi8(kOddBytes, even, _mm512_slli_epi16(odd, 8)));
  _mm512_store_si512(to.high + at, _mm512_mask_blend_epi8(kOddBytes, _mm512_srli_epi16(even, 8), odd));
}

template <class F>
TERN_INLINE __m512i minima_of(const uint8_t* head, int pair) {
  using Panel = KPanel<F, kRows>;
  if constexpr (F::kSubBlock == 32) return _mm512_cvtepu8_epi16(load_ymm(head + Panel::kMinimaAt + pair * 32));
  return _mm512_srli_epi16(_mm512_cvtepu8_epi16(load_ymm(head + Panel::kScalesAt + pair * 32)), 4);
}

template <class F>
constexpr int kMinimumPairs = F::kMinimum ? 128 / F::kSubBlock : 0;

template <class F>
void expand(const uint8_t* head, const uint8_t* codes, Expanded& to) {
  using Panel = KPanel<F, kRows>;
  for (int chunk = 0; chunk < 8; ++chunk) {
    const uint8_t* low = codes + chunk * F::kLowBits * 64;
    const uint8_t* high = codes + Panel::kHighAt + chunk * F::kHighBits * 64;
    Scale first, second;
    scales_of<F>(head, chunk, first, second);
    expand_group<F, 0>(low, high, first, chunk, to);
    expand_group<F, 1>(low, high, first, chunk, to);
    expand_group<F, 2>(low, high, first, chunk, to);
    expand_group<F, 3>(low, high, first, chunk, to);
    expand_group<F, 4>(low, high, second, chunk, to);
    expand_group<F, 5>(low, high, second, chunk, to);
    expand_group<F, 6>(low, high, second, chunk, to);
    expand_group<F, 7>(low, high, second, chunk, to);
  }
  for (int pair = 0; pair < kMinimumPairs<F>; ++pair) to.minima[pair] = minima_of<F>(head, pair);
  to.d = _mm512_cvtph_ps(load_ymm(head));
  if constexpr (F::kFactor != 1.0f) to.d = _mm512_mul_ps(to.d, _mm512_set1_ps(F::kFactor));
  if constexpr (F::kMinimum) to.dmin = _mm512_cvtph_ps(load_ymm(head + 32));
}

#undef TERN_INLINE

}  // namespace
}  // namespace tern
