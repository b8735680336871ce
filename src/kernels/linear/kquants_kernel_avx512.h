// AVX-512 VNNI products of the formats of 256-element super-blocks, in panels of 16 rows (layout: kquants_panel.h).
//
// For a row and a token, super-block after super-block, everything under d in exact integers:
//   i = sum over sub-blocks of scale * (sum q * a - z * sum a)        |i| < 2^28 for every format
//   m = sum over sub-blocks of minimum * sum a                        formats with minima
//   y = fma(fnma(float(m), dmin, float(i) * d), s, y)
// with a the int8 activation codes and s their one f32 scale. The code vectors are u8, as vpdpbusd wants them; z * sum
// a is where the sum starts. Tables: u8 are their values plus z (128 of IQ4_XS, 64 of others), and z * sum of scale *
// sum a leaves at the end of the super-block. Q3_K's codes are used times 8, so that z is 32 as in Q6_K, and d divided
// by 8 (exact).
//
// Limits on Zen 4 (512-bit vpdpbusd, vpmulld and vpdpwssd share one slot a cycle): Q4_K and Q5_K 64 products of 4 of
// 64 + 8 + 4 = 84 % of the int8 peak, Q6_K and Q3_K 64 of 64 + 16 = 80 %, Q2_K 64 of 64 + 16 + 8 = 73 %.
//
// Included by linear_kquants_avx512.cpp and linear_codebooks_avx512.cpp: everything has internal linkage.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/isa.h"
#include "kernels/linear/kquants_panel.h"
#include "kernels/linear/linear_impl.h"
#include "kernels/linear/panel_run.h"
#include "kernels/linear/token_rows.h"

namespace tern {
namespace {

// A call in the middle of a tile would save all its registers.
#define TERN_INLINE [[gnu::always_inline]] inline

inline __m512i load_zmm(const uint8_t* bytes) { return _mm512_loadu_si512(bytes); }
inline __m256i load_ymm(const uint8_t* bytes) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes)); }
inline __m512i broadcast_pair(const int16_t* pair) {
  return _mm512_set1_epi32(static_cast<int32_t>(load_u32(reinterpret_cast<const uint8_t*>(pair))));
}

// Moves the bits of every byte up (down when negative); what crosses a byte's border must be masked by the caller.
template <int kBits>
inline __m512i shift(__m512i bytes) {
  if constexpr (kBits > 0) return _mm512_slli_epi16(bytes, kBits);
  if constexpr (kBits < 0) return _mm512_srli_epi16(bytes, -kBits);
  return bytes;
}

// The tokens' activations of a super-block: a pointer each, or of many (token_rows.h).
template <int T>
struct FewRows {
  FewRows(const uint8_t* first, int64_t stride) {
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) at[t] = reinterpret_cast<const KActivation*>(first + t * stride);
  }
  TERN_INLINE const KActivation* operator[](int t) const { return at[t]; }
  TERN_INLINE void advance() {
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) ++at[t];
  }
  TERN_INLINE void forget() {}
  const KActivation* at[T];
};
struct WideRows {
  WideRows(const uint8_t* first, int64_t stride) : rows(reinterpret_cast<const std::byte*>(first), stride) {}
  TERN_INLINE const KActivation* operator[](int t) const { return reinterpret_cast<const KActivation*>(rows[t]); }
  TERN_INLINE void advance() { rows.advance(sizeof(KActivation)); }
  TERN_INLINE void forget() { rows.forget(); }
  TokenRows rows;
};

template <class F>
struct Kernel : KPanel<F, 16> {
  static constexpr Arithmetic kArithmetic = Arithmetic::kInt8;
  using Panel = KPanel<F, 16>;
  // 8 integer sums of a sub-block, 8 of the super-block, 8 float sums, and 8 registers for codes, masks and scales.
  static constexpr int kTile = 8;
  // 14 integer sums of each kind and 4 registers; the float sums wait in memory from one super-block to the next.
  static constexpr int kWideTile = 14;
  template <int T>
  using Rows = std::conditional_t<(T > kTile), WideRows, FewRows<T>>;
  // The power of two by which codes are used too large.
  static constexpr int kUp = F::kZero == 4 ? 3 : 0;

  // Codes of group g (0..7) of the 32 columns whose planes begin at low and high.
  template <int g>
  TERN_INLINE static __m512i group(const uint8_t* low, const uint8_t* high) {
    constexpr int kFields = 8 / F::kLowBits;
    constexpr int kMask = ((1 << F::kLowBits) - 1) << kUp;
    const __m512i moved = shift<kUp - g % kFields * F::kLowBits>(load_zmm(low + g / kFields * 64));
    const __m512i code = _mm512_and_si512(moved, _mm512_set1_epi8(kMask));
    if constexpr (F::kTable) {
      const __m128i values = _mm_loadu_si128(reinterpret_cast<const __m128i*>(F::kValues));
      const __m128i unsigned_values = _mm_add_epi8(values, _mm_set1_epi8(static_cast<char>(F::kZero)));
      return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(unsigned_values), code);
    } else if constexpr (F::kHighBits == 0) {
      return code;
    } else {
      constexpr int kHighFields = 8 / F::kHighBits, kFrom = F::kLowBits + kUp;
      constexpr int kHighMask = ((1 << F::kHighBits) - 1) << kFrom;
      const __m512i top = shift<kFrom - g % kHighFields * F::kHighBits>(load_zmm(high + g / kHighFields * 64));
      return _mm512_ternarylogic_epi32(top, _mm512_set1_epi8(kHighMask), code, 0xea);  // (top & mask) | code
    }
  }

  template <int T, int g>
  TERN_INLINE static void add_group(const uint8_t* low, const uint8_t* high, Rows<T>& x, int chunk,
                                    __m512i (&dots)[T]) {
    const __m512i w = group<g>(low, high);
    x.forget();
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) {
      const auto* a = reinterpret_cast<const uint8_t*>(x[t]->codes) + chunk * 32 + g * 4;
      dots[t] = _mm512_dpbusd_epi32(dots[t], w, _mm512_set1_epi32(static_cast<int32_t>(load_u32(a))));
    }
  }

  // sums += scale * dots; dots starts the next sub-block.
  template <int T>
  TERN_INLINE static void close_sub_block(__m512i scale, __m512i (&dots)[T], __m512i (&sums)[T]) {
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) sums[t] = _mm512_add_epi32(sums[t], _mm512_mullo_epi32(dots[t], scale));
  }
  template <int T>
  TERN_INLINE static void open_sub_block(Rows<T>& x, int sub_block, __m512i (&dots)[T]) {
    x.forget();
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) {
      dots[t] = F::kZero == 0 || F::kTable ? _mm512_setzero_si512() : _mm512_set1_epi32(x[t]->minus_32_sum[sub_block]);
    }
  }

  // sums[t] += the 32 columns of `chunk`, scaled.
  template <int T>
  TERN_INLINE static void add_chunk(const uint8_t* head, const uint8_t* codes, Rows<T>& x, int chunk,
                                    __m512i (&sums)[T]) {
    const uint8_t* low = codes + chunk * F::kLowBits * 64;
    const uint8_t* high = codes + Panel::kHighAt + chunk * F::kHighBits * 64;
    __m512i dots[T];
    if constexpr (F::kSubBlock == 32) {
      const auto* scales = reinterpret_cast<const __m128i*>(head + Panel::kScalesAt + chunk * 16);
      open_sub_block<T>(x, chunk, dots);
      add_group<T, 0>(low, high, x, chunk, dots);
      add_group<T, 1>(low, high, x, chunk, dots);
      add_group<T, 2>(low, high, x, chunk, dots);
      add_group<T, 3>(low, high, x, chunk, dots);
      add_group<T, 4>(low, high, x, chunk, dots);
      add_group<T, 5>(low, high, x, chunk, dots);
      add_group<T, 6>(low, high, x, chunk, dots);
      add_group<T, 7>(low, high, x, chunk, dots);
      const __m128i bytes = _mm_loadu_si128(scales);
      close_sub_block<T>(F::kMinimum ? _mm512_cvtepu8_epi32(bytes) : _mm512_cvtepi8_epi32(bytes), dots, sums);
    } else {
      const __m256i bytes = load_ymm(head + Panel::kScalesAt + chunk * 32);
      __m512i first, second;  // scales of the two sub-blocks
      if constexpr (F::kMinimum) {
        const __m512i pairs = _mm512_cvtepu8_epi16(bytes);
        first = _mm512_and_si512(pairs, _mm512_set1_epi32(15));
        second = _mm512_and_si512(_mm512_srli_epi32(pairs, 16), _mm512_set1_epi32(15));
      } else {
        const __m512i pairs = _mm512_cvtepi8_epi16(bytes);
        first = _mm512_srai_epi32(_mm512_slli_epi32(pairs, 16), 16);
        second = _mm512_srai_epi32(pairs, 16);
      }
      open_sub_block<T>(x, chunk * 2, dots);
      add_group<T, 0>(low, high, x, chunk, dots);
      add_group<T, 1>(low, high, x, chunk, dots);
      add_group<T, 2>(low, high, x, chunk, dots);
      add_group<T, 3>(low, high, x, chunk, dots);
      close_sub_block<T>(first, dots, sums);
      open_sub_block<T>(x, chunk * 2 + 1, dots);
      add_group<T, 4>(low, high, x, chunk, dots);
      add_group<T, 5>(low, high, x, chunk, dots);
      add_group<T, 6>(low, high, x, chunk, dots);
      add_group<T, 7>(low, high, x, chunk, dots);
      close_sub_block<T>(second, dots, sums);
    }
  }

  // What multiplies the sums of activation codes: the minima, or the scales of a table's sub-blocks, as [16][2].
  TERN_INLINE static __m512i correction_pairs(const uint8_t* head, int pair) {
    if constexpr (F::kTable && F::kSubBlock == 16) {
      return _mm512_cvtepi8_epi16(load_ymm(head + Panel::kScalesAt + pair * 32));
    } else if constexpr (F::kTable) {
      const auto* scales = reinterpret_cast<const __m128i*>(head + Panel::kScalesAt + pair * 32);
      const __m128i first = _mm_loadu_si128(scales), second = _mm_loadu_si128(scales + 1);
      const __m256i low = _mm256_castsi128_si256(_mm_unpacklo_epi8(first, second));
      return _mm512_cvtepi8_epi16(_mm256_inserti128_si256(low, _mm_unpackhi_epi8(first, second), 1));
    }
    if constexpr (F::kSubBlock == 32) return _mm512_cvtepu8_epi16(load_ymm(head + Panel::kMinimaAt + pair * 32));
    return _mm512_srli_epi16(_mm512_cvtepu8_epi16(load_ymm(head + Panel::kScalesAt + pair * 32)), 4);
  }

  // sums[t] = minima (or scales) . sums of activation codes.
  template <int T>
  TERN_INLINE static void correction_sums(const uint8_t* head, Rows<T>& x, __m512i (&sums)[T]) {
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) sums[t] = _mm512_setzero_si512();
#pragma GCC unroll 8
    for (int p = 0; p < 128 / F::kSubBlock; ++p) {
      const __m512i pairs = correction_pairs(head, p);
      x.forget();
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t) {
        const int16_t* sum = F::kSubBlock == 32 ? x[t]->sum32 : x[t]->sum16;
        sums[t] = _mm512_dpwssd_epi32(sums[t], pairs, broadcast_pair(sum + p * 2));
      }
    }
  }

  template <int T>
  static void tile(const PanelTile& tile) {
    LookAhead ahead = tile.ahead;
    ahead.step /= 8;  // a turn is 32 columns
    const uint8_t* head = tile.panel + tile.begin * Panel::kHeadBytes;
    const uint8_t* codes = tile.panel + Panel::heads_bytes(tile.cols) + tile.begin * Panel::kCodeBytes;
    const auto rows = static_cast<__mmask16>((1u << tile.rows) - 1);
    Rows<T> x(tile.prepared, tile.prepared_stride);
    __m512 y[T];
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) {
      y[t] = tile.first ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(rows, tile.out + t * tile.out_stride);
    }
    for (int64_t b = tile.begin; b < tile.end; ++b) {
      __m512i sums[T];
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t) sums[t] = _mm512_setzero_si512();
#pragma GCC unroll 1
      for (int chunk = 0; chunk < 8; ++chunk) {
        ahead.next<(Panel::kHeadBytes + Panel::kCodeBytes) / 8>();
        add_chunk<T>(head, codes, x, chunk, sums);
      }
      add_super_block<T>(head, x, sums, y);
      head += Panel::kHeadBytes;
      codes += Panel::kCodeBytes;
      x.advance();
    }
    const __m512 bias = tile.bias == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(rows, tile.bias);
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) {
      if (tile.last && tile.bias != nullptr) y[t] = _mm512_add_ps(y[t], bias);
      _mm512_mask_storeu_ps(tile.out + t * tile.out_stride, rows, y[t]);
    }
  }

  // y[t] += what the integers of a super-block stand for.
  template <int T>
  TERN_INLINE static void add_super_block(const uint8_t* head, Rows<T>& x, const __m512i (&sums)[T], __m512 (&y)[T]) {
    __m512 d = _mm512_cvtph_ps(load_ymm(head));
    constexpr float kFactor = F::kFactor / (1 << kUp);
    if constexpr (kFactor != 1.0f) d = _mm512_mul_ps(d, _mm512_set1_ps(kFactor));
    __m512i integers[T];
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) integers[t] = sums[t];
    if constexpr (F::kTable) {  // the table's offset, here and not in the sums of every sub-block
      __m512i corrections[T];
      correction_sums<T>(head, x, corrections);
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t) {
        integers[t] = _mm512_sub_epi32(sums[t], _mm512_slli_epi32(corrections[t], __builtin_ctz(F::kZero)));
      }
    }
    __m512 f[T];
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) f[t] = _mm512_mul_ps(_mm512_cvtepi32_ps(integers[t]), d);
    if constexpr (F::kMinimum) {
      const __m512 dmin = _mm512_cvtph_ps(load_ymm(head + 32));
      __m512i minima[T];
      correction_sums<T>(head, x, minima);
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t) f[t] = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(minima[t]), dmin, f[t]);
    }
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) y[t] = _mm512_fmadd_ps(f[t], _mm512_set1_ps(x[t]->scale), y[t]);
  }

  static void run(const LinearJob& job, int64_t begin, int64_t end) { run_panels<Kernel>(job, begin, end); }
};

void prepare(const float* x, int64_t cols, std::byte* prepared) {
  auto* block = reinterpret_cast<KActivation*>(prepared);
  for (int64_t b = 0; b < cols / 256; ++b, ++block, x += 256) {
    // As integers the magnitudes have the same order, with NaN above all: it comes through as the block's scale.
    __m512i largest = _mm512_setzero_si512();
    for (int j = 0; j < 16; ++j) {
      const __m512i bits = _mm512_and_si512(_mm512_loadu_si512(x + j * 16), _mm512_set1_epi32(0x7fffffff));
      largest = _mm512_max_epi32(largest, bits);
    }
    const float amax = _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(_mm512_reduce_max_epi32(largest))));
    // Below 1e-30 the block counts as zero: 127 / amax would overflow near 3e-37.
    const __m512 inverse = _mm512_set1_ps(amax > 1e-30f ? 127.0f / amax : 0.0f);
    for (int j = 0; j < 16; ++j) {
      const __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + j * 16), inverse));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(block->codes + j * 16), _mm512_cvtsepi32_epi8(q));
      const int sum = _mm512_reduce_add_epi32(q);
      block->minus_32_sum[j] = sum * -32;
      block->sum16[j] = static_cast<int16_t>(sum);
    }
    for (int j = 0; j < 8; ++j) block->sum32[j] = static_cast<int16_t>(block->sum16[j * 2] + block->sum16[j * 2 + 1]);
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
          .needs = kIsaAvx512 | kIsaAvx512Vnni,
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

#undef TERN_INLINE

}  // namespace
}  // namespace tern
