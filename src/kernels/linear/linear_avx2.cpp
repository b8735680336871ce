// AVX2 products of the formats of 32-element blocks, in panels of 8 rows (layout: block32_panel.h).
//
// Activations are int8 a block of 32 (scale = max|x| / 127). For a row and a token, block after block:
//   y = fma(float(sum q*a - z * sum a), d * s, y), then for formats with minimum y = fma(m, s * sum a, y) (U4_ZERO: d *
//   m),
// z = 8 (Q4_0), 16 (Q5_0, MXFP4), 128 (Q8_0, IQ4_NL), 0 otherwise. The sums over k are exact integers: |a| <= 127 keeps
// every int16 in range, 15*127*2*8 = 30480 for 4-bit codes and for each half of an 8-bit code, 31*127*2*4 = 31496 for
// 5-bit codes; IQ4_NL's and MXFP4's codes become the values of their tables plus z, 8-bit ones and at most 28.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"
#include "kernels/linear/block32_panel.h"
#include "kernels/linear/linear_impl.h"
#include "kernels/linear/panel_rows8.h"
#include "kernels/linear/panel_run.h"

namespace tern {
namespace {

// One block of a prepared activation row.
struct Activation {
  int8_t codes[32];
  float scale;
  int32_t minus_8_sum;  // -8 * sum of codes
  float scaled_sum;     // scale * sum of codes
  int32_t unused;
};
static_assert(sizeof(Activation) == 48);

inline __m256i load_ymm(const uint8_t* bytes) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes)); }

// Ends an integer sum here for the compiler, which would otherwise turn the chains into trees and spill their leaves.
inline __m256i keep(__m256i value) {
  asm("" : "+x"(value));
  return value;
}

template <class F>
struct Kernel : Panel32<F> {
  static constexpr Arithmetic kArithmetic = Arithmetic::kInt8;
  using Panel = Panel32<F>;
  // 4 int16 sums, 4 float sums, two vectors of codes, a broadcast and a mask: 12 to 14 of 16 registers.
  static constexpr int kTile = 4;
  static constexpr int64_t kPrepared = sizeof(Activation);
  // 8-bit values, of which two products fill an int16.
  static constexpr bool kPlanes = F::kZero == 128;

  // Integer sums of one block: 8 rows x T tokens.
  template <int T>
  static inline void dot_block(const uint8_t* codes, const Activation* const (&x)[T], __m256i (&dots)[T]) {
    const __m256i ones = _mm256_set1_epi16(1);
    const __m256i low_nibbles = _mm256_set1_epi8(15);
    if constexpr (kPlanes) {  // two planes of nibbles, so that no int16 saturates
      __m256i low_sums[T], high_sums[T];
#pragma GCC unroll 8
      for (int g = 0; g < 8; ++g) {
        const Planes w = planes(codes, g);
#pragma GCC unroll 4
        for (int t = 0; t < T; ++t) {
          const __m256i a = group(*x[t], g);
          const __m256i low_product = _mm256_maddubs_epi16(w.low, a), high_product = _mm256_maddubs_epi16(w.high, a);
          low_sums[t] = keep(g == 0 ? low_product : _mm256_add_epi16(low_sums[t], low_product));
          high_sums[t] = keep(g == 0 ? high_product : _mm256_add_epi16(high_sums[t], high_product));
        }
      }
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t) {
        dots[t] = _mm256_add_epi32(_mm256_madd_epi16(low_sums[t], ones),
                                   _mm256_madd_epi16(high_sums[t], _mm256_set1_epi16(16)));
      }
    } else {
      __m256i fifth = _mm256_setzero_si256();
      if constexpr (F::kBits == 5) fifth = load_ymm(codes + 128);
      constexpr int kGroupsAnInt16 = F::kBits == 5 || F::kTable ? 4 : 8;
#pragma GCC unroll 2
      for (int first = 0; first < 8; first += kGroupsAnInt16) {
        __m256i sums[T];
#pragma GCC unroll 4
        for (int g = first; g < first + kGroupsAnInt16; g += 2) {
          const __m256i bytes = load_ymm(codes + g * 16);
          __m256i even = _mm256_and_si256(bytes, low_nibbles);
          __m256i odd = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), low_nibbles);
          if constexpr (F::kBits == 5) {
            even = _mm256_or_si256(even, fifth_bit(fifth, g));
            odd = _mm256_or_si256(odd, fifth_bit(fifth, g + 1));
          }
          if constexpr (F::kTable) {
            even = _mm256_shuffle_epi8(table(), even);
            odd = _mm256_shuffle_epi8(table(), odd);
          }
#pragma GCC unroll 4
          for (int t = 0; t < T; ++t) {
            const __m256i product = _mm256_maddubs_epi16(even, group(*x[t], g));
            sums[t] = keep(g == first ? product : _mm256_add_epi16(sums[t], product));
          }
#pragma GCC unroll 4
          for (int t = 0; t < T; ++t) {
            sums[t] = keep(_mm256_add_epi16(sums[t], _mm256_maddubs_epi16(odd, group(*x[t], g + 1))));
          }
        }
#pragma GCC unroll 4
        for (int t = 0; t < T; ++t) {
          const __m256i wide = _mm256_madd_epi16(sums[t], ones);
          dots[t] = first == 0 ? wide : _mm256_add_epi32(dots[t], wide);
        }
      }
    }
    if constexpr (F::kZero != 0) {
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t) {
        const __m256i correction = _mm256_set1_epi32(x[t]->minus_8_sum);
        dots[t] = _mm256_add_epi32(dots[t], _mm256_slli_epi32(correction, __builtin_ctz(F::kZero) - 3));
      }
    }
  }

  // What the codes stand for plus kZero, in both halves.
  static inline __m256i table() {
    const __m128i values = _mm_loadu_si128(reinterpret_cast<const __m128i*>(F::kValues));
    return _mm256_broadcastsi128_si256(_mm_add_epi8(values, _mm_set1_epi8(static_cast<char>(F::kZero))));
  }
  // The nibbles of 8-bit values of group g: as stored, or the table's for 4-bit codes, looked up each by itself.
  struct Planes {
    __m256i low, high;
  };
  static inline Planes planes(const uint8_t* codes, int g) {
    const __m256i mask = _mm256_set1_epi8(15);
    if constexpr (F::kTable) {
      const __m256i both = load_ymm(codes + g / 2 * 32);
      const __m256i code = _mm256_and_si256(g % 2 == 0 ? both : _mm256_srli_epi16(both, 4), mask);
      const __m256i high_table = _mm256_and_si256(_mm256_srli_epi16(table(), 4), mask);
      return {_mm256_shuffle_epi8(_mm256_and_si256(table(), mask), code), _mm256_shuffle_epi8(high_table, code)};
    }
    const __m256i bytes = load_ymm(codes + g * 32);
    return {_mm256_and_si256(bytes, mask), _mm256_and_si256(_mm256_srli_epi16(bytes, 4), mask)};
  }
  static inline __m256i group(const Activation& x, int g) {
    return _mm256_set1_epi32(static_cast<int32_t>(load_u32(reinterpret_cast<const uint8_t*>(x.codes) + g * 4)));
  }
  // Bit g of every byte, moved to bit 4.
  static inline __m256i fifth_bit(__m256i bits, int g) {
    const __m256i moved = g < 4 ? _mm256_slli_epi16(bits, 4 - g) : _mm256_srli_epi16(bits, g - 4);
    return _mm256_and_si256(moved, _mm256_set1_epi8(16));
  }

  static inline __m256 scales(const uint8_t* head) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(head));
    if constexpr (!F::kScaleBf16) return _mm256_cvtph_ps(bits);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }

  template <int T>
  static void tile(const PanelTile& tile) {
    LookAhead ahead = tile.ahead;
    const uint8_t* head = tile.panel + tile.begin * Panel::kHeadBytes;
    const uint8_t* codes = tile.panel + Panel::heads_bytes(tile.cols) + tile.begin * Panel::kCodeBytes;
    const Activation* x[T];
    __m256 sums[T];
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) {
      x[t] = reinterpret_cast<const Activation*>(tile.prepared + t * tile.prepared_stride);
      sums[t] = first_sums(tile, t);
    }
    for (int64_t b = tile.begin; b < tile.end; ++b) {
      ahead.next<Panel::kHeadBytes + Panel::kCodeBytes>();
      __m256i dots[T];
      dot_block<T>(codes, x, dots);
      const __m256 d = scales(head);
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t) {
        const __m256 scale = _mm256_mul_ps(d, _mm256_set1_ps(x[t]->scale));
        sums[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[t]), scale, sums[t]);
      }
      if constexpr (F::kMinimum) {
        __m256 m = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(head + 16)));
        if constexpr (F::kZeroPoint) m = _mm256_mul_ps(d, m);
#pragma GCC unroll 4
        for (int t = 0; t < T; ++t) sums[t] = _mm256_fmadd_ps(m, _mm256_set1_ps(x[t]->scaled_sum), sums[t]);
      }
      head += Panel::kHeadBytes;
      codes += Panel::kCodeBytes;
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t) ++x[t];
    }
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) store_rows(sums[t], tile, t);
  }

  static void run(const LinearJob& job, int64_t begin, int64_t end) { run_panels<Kernel>(job, begin, end); }
};

uint64_t prepared_bytes(int64_t cols) {
  return prepared_row_bytes(static_cast<uint64_t>(cols / 32) * sizeof(Activation));
}

void prepare(const float* x, int64_t cols, std::byte* prepared) {
  auto* block = reinterpret_cast<Activation*>(prepared);
  for (int64_t b = 0; b < cols / 32; ++b, ++block, x += 32) {
    __m256 v[4];
    for (int i = 0; i < 4; ++i) v[i] = _mm256_loadu_ps(x + i * 8);
    // As integers the magnitudes have the same order, with NaN above all: it comes through as the block's scale.
    __m256i largest = _mm256_setzero_si256();
    for (int i = 0; i < 4; ++i) {
      const __m256i bits = _mm256_and_si256(_mm256_castps_si256(v[i]), _mm256_set1_epi32(0x7fffffff));
      largest = _mm256_max_epi32(largest, bits);
    }
    __m128i four = _mm_max_epi32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    const float amax = _mm_cvtss_f32(_mm_castsi128_ps(_mm_max_epi32(four, _mm_shuffle_epi32(four, 0xb1))));
    // Below 1e-30 the block counts as zero: 127 / amax would overflow near 3e-37.
    const __m256 inverse = _mm256_set1_ps(amax > 1e-30f ? 127.0f / amax : 0.0f);
    __m256i q[4];
    for (int i = 0; i < 4; ++i) q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], inverse));
    __m256i total = _mm256_add_epi32(_mm256_add_epi32(q[0], q[1]), _mm256_add_epi32(q[2], q[3]));
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(total), _mm256_extracti128_si256(total, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
    // Packing works within 128-bit halves; the permutation puts the 4-byte pieces back in order.
    const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(block->codes), _mm256_permutevar8x32_epi32(bytes, order));
    const int32_t code_sum = _mm_cvtsi128_si32(sum);
    block->scale = amax / 127.0f;
    block->minus_8_sum = code_sum * -8;
    block->scaled_sum = block->scale * static_cast<float>(code_sum);
    block->unused = 0;
  }
}

template <class F>
constexpr LinearImpl row(const char* name, const char* layout) {
  using K = Kernel<F>;
  return {.name = name,
          .layout = layout,
          .needs = kIsaAvx2,
          .panel_rows = K::kRows,
          .supports = K::supports,
          .packed_bytes = K::packed_bytes,
          .pack = K::pack,
          .prepared_bytes = prepared_bytes,
          .prepare = prepare,
          .run = K::run,
          .read_row = K::read_row,
          .cost = panel_cost<K>};
}

constexpr LinearImpl kImpls[] = {row<Q4_0>("avx2_q4_0x32", "q4_0x32r8"),    row<Q4_1>("avx2_q4_1x32", "q4_1x32r8"),
                                 row<Q5_0>("avx2_q5_0x32", "q5_0x32r8"),    row<Q5_1>("avx2_q5_1x32", "q5_1x32r8"),
                                 row<Q8_0>("avx2_q8_0x32", "q8_0x32r8"),    row<IQ4_NL>("avx2_iq4_nlx32", "q4_0x32r8"),
                                 row<MXFP4>("avx2_mxfp4x32", "mxfp4x32r8"), row<U4Zero>("avx2_u4zx32", "u4zx32r8")};

}  // namespace

const LinearImplSpan kLinearAvx2 = {kImpls, sizeof kImpls / sizeof kImpls[0]};

}  // namespace tern
