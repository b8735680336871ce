// AVX2 products of the formats of 256-element super-blocks, in panels of 8 rows (layout: kquants_panel.h).
//
// For a row and a token, super-block after super-block, everything under d in exact integers:
//   i = sum over sub-blocks of scale * sum q * a
//   m = sum over sub-blocks of minimum * sum a             formats with minima
//     = sum over sub-blocks of scale * sum a               formats with a zero z: then i -= z * m
//   y = fma(fnma(float(m), dmin, float(i) * d), s, y)      (without minima: fma(float(i) * d, s, y))
// with a the int8 activation codes and s their one f32 scale; |i| < 2^29 for every format. Products of a sub-block are
// added in int16 as long as they cannot overflow (|a| <= 127), then vpmaddwd multiplies them by the sub-scale and
// widens at once: 2-, 3- and 4-bit codes 8 groups (15 * 127 * 2 * 8 = 30480), 5-bit 4 (31 * 127 * 2 * 4 = 31496),
// 6-bit 2 (63 * 127 * 2 * 2 = 32004). Tables: their values plus z (128 of IQ4_XS, 64 of others) as two planes of
// nibbles, 8 groups each.
//
// Included by linear_kquants_avx2.cpp and linear_codebooks_avx2.cpp: everything has internal linkage.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"
#include "kernels/linear/kquants_panel.h"
#include "kernels/linear/linear_impl.h"
#include "kernels/linear/panel_rows8.h"
#include "kernels/linear/panel_run.h"

namespace tern {
namespace {

inline __m256i load_ymm(const uint8_t* bytes) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes)); }
inline __m128i load_xmm(const uint8_t* bytes) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)); }
inline __m256i broadcast_4(const void* bytes) {
  return _mm256_set1_epi32(static_cast<int32_t>(load_u32(static_cast<const uint8_t*>(bytes))));
}

// Moves the bits of every byte up (down when negative); what crosses a byte's border must be masked by the caller.
template <int kBits>
inline __m256i shift(__m256i bytes) {
  if constexpr (kBits > 0) return _mm256_slli_epi16(bytes, kBits);
  if constexpr (kBits < 0) return _mm256_srli_epi16(bytes, -kBits);
  return bytes;
}

// Ends an integer sum here for the compiler, which would otherwise turn the chains into trees and spill their leaves.
inline __m256i keep(__m256i value) {
  asm("" : "+x"(value));
  return value;
}

template <class F>
struct Kernel : KPanel<F, 8> {
  static constexpr Arithmetic kArithmetic = Arithmetic::kInt8;
  using Panel = KPanel<F, 8>;
  // 4 int16 sums, 4 integer sums, 4 float sums (in memory between super-blocks), codes, a broadcast, a product, a mask.
  static constexpr int kTile = 4;
  static constexpr int kDots = F::kTable ? 2 : 1;  // int16 sums a token
  static constexpr int kBits = F::kLowBits + F::kHighBits;
  static constexpr int kGroupsAnInt16 = kBits == 6 ? 2 : F::kSubBlock == 16 || kBits == 5 ? 4 : 8;

  // Codes of group g (0..7) of the 32 columns whose planes begin at low and high.
  template <int g>
  static inline __m256i group(const uint8_t* low, const uint8_t* high) {
    constexpr int kFields = 8 / F::kLowBits;
    const __m256i moved = shift<-(g % kFields * F::kLowBits)>(load_ymm(low + g / kFields * 32));
    const __m256i code = _mm256_and_si256(moved, _mm256_set1_epi8((1 << F::kLowBits) - 1));
    if constexpr (F::kHighBits == 0) {
      return code;
    } else {
      constexpr int kHighFields = 8 / F::kHighBits;
      constexpr int kHighMask = ((1 << F::kHighBits) - 1) << F::kLowBits;
      const __m256i top = shift<F::kLowBits - g % kHighFields * F::kHighBits>(load_ymm(high + g / kHighFields * 32));
      return _mm256_or_si256(code, _mm256_and_si256(top, _mm256_set1_epi8(kHighMask)));
    }
  }

  template <int T, int g>
  static inline void add_group(const uint8_t* low, const uint8_t* high, const KActivation* const (&x)[T], int chunk,
                               __m256i scale, __m256i (&dots)[kDots * T], __m256i (&sums)[T]) {
    const __m256i w = group<g>(low, high);
    if constexpr (F::kTable) return add_planes<T, g>(w, x, chunk, scale, dots, sums);
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) {
      const __m256i product = _mm256_maddubs_epi16(w, broadcast_4(x[t]->codes + chunk * 32 + g * 4));
      dots[t] = keep(g % kGroupsAnInt16 == 0 ? product : _mm256_add_epi16(dots[t], product));
    }
    if constexpr (g % kGroupsAnInt16 == kGroupsAnInt16 - 1) {
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t) sums[t] = keep(_mm256_add_epi32(sums[t], _mm256_madd_epi16(dots[t], scale)));
    }
  }

  // The table's 8-bit values as two planes of nibbles, looked up each by itself; sums of the upper one are in the upper
  // half of `dots`.
  template <int T, int g, int S>
  static inline void add_planes(__m256i code, const KActivation* const (&x)[T], int chunk, __m256i scale,
                                __m256i (&dots)[S], __m256i (&sums)[T]) {
    constexpr int kGroups = F::kSubBlock / 4;  // of a sub-block
    const __m256i mask = _mm256_set1_epi8(15);
    const __m128i signed_values = _mm_loadu_si128(reinterpret_cast<const __m128i*>(F::kValues));
    const __m256i values =
        _mm256_broadcastsi128_si256(_mm_add_epi8(signed_values, _mm_set1_epi8(static_cast<char>(F::kZero))));
    const __m256i low = _mm256_shuffle_epi8(_mm256_and_si256(values, mask), code);
    const __m256i high = _mm256_shuffle_epi8(_mm256_and_si256(_mm256_srli_epi16(values, 4), mask), code);
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) {
      const __m256i a = broadcast_4(x[t]->codes + chunk * 32 + g * 4);
      const __m256i low_product = _mm256_maddubs_epi16(low, a), high_product = _mm256_maddubs_epi16(high, a);
      dots[t] = keep(g % kGroups == 0 ? low_product : _mm256_add_epi16(dots[t], low_product));
      dots[T + t] = keep(g % kGroups == 0 ? high_product : _mm256_add_epi16(dots[T + t], high_product));
    }
    if constexpr (g % kGroups == kGroups - 1) {
      const __m256i high_scale = _mm256_slli_epi16(scale, 4);
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t) {
        const __m256i both =
            _mm256_add_epi32(_mm256_madd_epi16(dots[t], scale), _mm256_madd_epi16(dots[T + t], high_scale));
        sums[t] = keep(_mm256_add_epi32(sums[t], both));
      }
    }
  }

  // sums[t] += the 32 columns of `chunk`, scaled. A scale stands twice in its row's 32 bits, as vpmaddwd wants it.
  template <int T>
  static inline void add_chunk(const uint8_t* head, const uint8_t* codes, const KActivation* const (&x)[T], int chunk,
                               __m256i (&sums)[T]) {
    const uint8_t* low = codes + chunk * F::kLowBits * 32;
    const uint8_t* high = codes + Panel::kHighAt + chunk * F::kHighBits * 32;
    __m256i first, second;
    if constexpr (F::kSubBlock == 32) {
      const auto* scales = reinterpret_cast<const __m128i*>(head + Panel::kScalesAt + chunk * 8);
      if constexpr (F::kTable) {
        const __m256i wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64(scales));
        first = second = _mm256_blend_epi16(wide, _mm256_slli_epi32(wide, 16), 0xaa);
      } else {
        const __m256i wide = _mm256_cvtepu8_epi32(_mm_loadl_epi64(scales));
        first = second = _mm256_or_si256(wide, _mm256_slli_epi32(wide, 16));
      }
    } else {
      const __m256i pairs = scale_pairs(head, chunk);
      first = _mm256_blend_epi16(pairs, _mm256_slli_epi32(pairs, 16), 0xaa);
      second = _mm256_blend_epi16(pairs, _mm256_srli_epi32(pairs, 16), 0x55);
    }
    __m256i dots[kDots * T];
    add_group<T, 0>(low, high, x, chunk, first, dots, sums);
    add_group<T, 1>(low, high, x, chunk, first, dots, sums);
    add_group<T, 2>(low, high, x, chunk, first, dots, sums);
    add_group<T, 3>(low, high, x, chunk, first, dots, sums);
    add_group<T, 4>(low, high, x, chunk, second, dots, sums);
    add_group<T, 5>(low, high, x, chunk, second, dots, sums);
    add_group<T, 6>(low, high, x, chunk, second, dots, sums);
    add_group<T, 7>(low, high, x, chunk, second, dots, sums);
  }

  // Sub-blocks of 16: the scales of two neighbours as 16-bit integers, [8][2].
  static inline __m256i scale_pairs(const uint8_t* head, int pair) {
    const __m128i bytes = load_xmm(head + Panel::kScalesAt + pair * 16);
    if constexpr (!F::kMinimum) return _mm256_cvtepi8_epi16(bytes);
    return _mm256_and_si256(_mm256_cvtepu8_epi16(bytes), _mm256_set1_epi16(15));
  }
  // What multiplies the sums of activation codes: the minima, or the scales of a format with a zero.
  static inline __m256i correction_pairs(const uint8_t* head, int pair) {
    if constexpr (F::kTable && F::kSubBlock == 32) {
      const auto* scales = reinterpret_cast<const __m128i*>(head + Panel::kScalesAt + pair * 16);
      const __m128i both = _mm_loadu_si128(scales);
      return _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(both, _mm_unpackhi_epi64(both, both)));
    }
    if constexpr (!F::kMinimum) return scale_pairs(head, pair);
    if constexpr (F::kSubBlock == 32) return _mm256_cvtepu8_epi16(load_xmm(head + Panel::kMinimaAt + pair * 16));
    return _mm256_srli_epi16(_mm256_cvtepu8_epi16(load_xmm(head + Panel::kScalesAt + pair * 16)), 4);
  }

  template <int T>
  static inline void correction_sums(const uint8_t* head, const KActivation* const (&x)[T], __m256i (&sums)[T]) {
#pragma GCC unroll 8
    for (int p = 0; p < 128 / F::kSubBlock; ++p) {
      const __m256i pairs = correction_pairs(head, p);
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t) {
        const int16_t* sum = F::kSubBlock == 32 ? x[t]->sum32 : x[t]->sum16;
        const __m256i product = _mm256_madd_epi16(pairs, broadcast_4(sum + p * 2));
        sums[t] = keep(p == 0 ? product : _mm256_add_epi32(sums[t], product));
      }
    }
  }

  template <int T>
  static void tile(const PanelTile& tile) {
    LookAhead ahead = tile.ahead;
    ahead.step /= 8;  // a turn is 32 columns
    const uint8_t* head = tile.panel + tile.begin * Panel::kHeadBytes;
    const uint8_t* codes = tile.panel + Panel::heads_bytes(tile.cols) + tile.begin * Panel::kCodeBytes;
    const KActivation* x[T];
    __m256 y[T];
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) {
      x[t] = reinterpret_cast<const KActivation*>(tile.prepared + t * tile.prepared_stride);
      y[t] = first_sums(tile, t);
    }
    for (int64_t b = tile.begin; b < tile.end; ++b) {
      __m256i sums[T];
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t) sums[t] = _mm256_setzero_si256();
#pragma GCC unroll 1
      for (int chunk = 0; chunk < 8; ++chunk) {
        ahead.next<(Panel::kHeadBytes + Panel::kCodeBytes) / 8>();
        add_chunk<T>(head, codes, x, chunk, sums);
      }
      __m256i corrections[T];
      correction_sums<T>(head, x, corrections);
      __m256 d = _mm256_cvtph_ps(load_xmm(head));
      if constexpr (F::kFactor != 1.0f) d = _mm256_mul_ps(d, _mm256_set1_ps(F::kFactor));
      if constexpr (F::kMinimum) {
        const __m256 dmin = _mm256_cvtph_ps(load_xmm(head + 16));
#pragma GCC unroll 4
        for (int t = 0; t < T; ++t) {
          const __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[t]), d);
          const __m256 value = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(corrections[t]), dmin, product);
          y[t] = _mm256_fmadd_ps(value, _mm256_set1_ps(x[t]->scale), y[t]);
        }
      } else {
#pragma GCC unroll 4
        for (int t = 0; t < T; ++t) {
          const __m256i zero = _mm256_slli_epi32(corrections[t], __builtin_ctz(F::kZero));
          const __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(sums[t], zero)), d);
          y[t] = _mm256_fmadd_ps(product, _mm256_set1_ps(x[t]->scale), y[t]);
        }
      }
      head += Panel::kHeadBytes;
      codes += Panel::kCodeBytes;
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t) ++x[t];
    }
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) store_rows(y[t], tile, t);
  }

  static void run(const LinearJob& job, int64_t begin, int64_t end) { run_panels<Kernel>(job, begin, end); }
};

// As integers the magnitudes have the same order, with NaN above all: it comes through as the block's scale.
inline float largest_magnitude(const float* x) {
  __m256i largest = _mm256_setzero_si256();
  for (int j = 0; j < 256; j += 8) {
    const __m256i bits = load_ymm(reinterpret_cast<const uint8_t*>(x + j));
    largest = _mm256_max_epi32(largest, _mm256_and_si256(bits, _mm256_set1_epi32(0x7fffffff)));
  }
  __m128i four = _mm_max_epi32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtss_f32(_mm_castsi128_ps(_mm_max_epi32(four, _mm_shuffle_epi32(four, 0xb1))));
}

void prepare(const float* x, int64_t cols, std::byte* prepared) {
  auto* block = reinterpret_cast<KActivation*>(prepared);
  for (int64_t b = 0; b < cols / 256; ++b, ++block, x += 256) {
    const float amax = largest_magnitude(x);
    // Below 1e-30 the block counts as zero: 127 / amax would overflow near 3e-37.
    const __m256 inverse = _mm256_set1_ps(amax > 1e-30f ? 127.0f / amax : 0.0f);
    for (int j = 0; j < 8; ++j) {
      __m256i q[4];
      for (int i = 0; i < 4; ++i) {
        q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + j * 32 + i * 8), inverse));
      }
      // Packing works within 128-bit halves; the permutation puts the 4-byte pieces back in order.
      const __m256i mixed = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
      const __m256i codes = _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(block->codes + j * 32), codes);
      // Sums of 4, then of the 16 codes of each half.
      __m256i sums = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), codes), _mm256_set1_epi16(1));
      sums = _mm256_hadd_epi32(sums, sums);
      sums = _mm256_hadd_epi32(sums, sums);
      const int first = _mm256_extract_epi32(sums, 0), second = _mm256_extract_epi32(sums, 4);
      block->minus_32_sum[j * 2] = first * -32;
      block->minus_32_sum[j * 2 + 1] = second * -32;
      block->sum16[j * 2] = static_cast<int16_t>(first);
      block->sum16[j * 2 + 1] = static_cast<int16_t>(second);
      block->sum32[j] = static_cast<int16_t>(first + second);
    }
    block->scale = amax / 127.0f;
    for (int32_t& word : block->unused) word = 0;
  }
}

// Layout: what the kernel depends on of F, so that formats which are packed alike share one.
template <class F, class Layout = F>
constexpr LinearImpl row(const char* name, const char* layout) {
  using K = Kernel<F>;
  return {.name = name,
          .layout = layout,
          .needs = kIsaAvx2,
          .panel_rows = K::kRows,
          .supports = K::supports,
          .packed_bytes = K::packed_bytes,
          .pack = K::pack,
          .prepared_bytes = k_prepared_bytes,
          .prepare = prepare,
          .run = Kernel<Layout>::run,
          .read_row = K::read_row,
          .cost = panel_cost<K>};
}

}  // namespace
}  // namespace tern
