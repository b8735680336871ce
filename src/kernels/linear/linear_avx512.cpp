// Linear for weights in blocks of 32 elements, on AVX-512 VNNI. Layouts (block32_panel_avx512.h): q4x32 (Q4_0, Q4_1,
// IQ4_NL), q5x32 (Q5_0, Q5_1), q8x32 (Q8_0), mxfp4x32 (MXFP4: q4x32 with scales in bf16) and u4zx32 (U4_ZERO: as
// Q4_1, minima in steps of the scale).
//
// Activations. Blocks of 32: q = round(x * (127 / amax)) to nearest even, scale = amax / 127. Per block and row:
//
//   y += (w_scale * a_scale) * float(sum_k code * q - zero * sum_k q)    zero: 8, 16, 128; 0 where there is a minimum
//   y += w_min * (a_scale * float(sum_k q))                              Q4_1, Q5_1
//
// The integers are exact; the float operations are these, fused, block after block, in every entry: one token or a
// tile.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/isa.h"
#include "kernels/linear/block32_panel_avx512.h"
#include "kernels/linear/chunked_panels.h"
#include "kernels/linear/linear_impl.h"
#include "kernels/linear/token_rows.h"

namespace tern {
namespace {

// ---- activations

uint64_t prepared_bytes(int64_t cols) {
  return (static_cast<uint64_t>((cols + 2 * kBlock - 1) / (2 * kBlock)) * 2 * sizeof(ActivationBlock) + 63) / 64 * 64;
}

void prepare_block(const float* x, ActivationBlock& block) {
  const __m512 low = _mm512_loadu_ps(x);
  const __m512 high = _mm512_loadu_ps(x + 16);
  // The largest magnitude, as bits: a NaN is larger than infinity and so comes through as a scale that is not a number.
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  const __m512i largest = _mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(low), magnitude),
                                           _mm512_and_si512(_mm512_castps_si512(high), magnitude));
  const uint32_t bits = _mm512_reduce_max_epu32(largest);
  float amax;
  __builtin_memcpy(&amax, &bits, sizeof(amax));
  // Below 2^-119 the factor would overflow: such a block counts as zero.
  const bool zero = bits < 0x04000000u;
  const float factor = zero ? 0.0f : 127.0f / amax;
  const float scale = zero ? 0.0f : amax / 127.0f;
  const __m512i q_low = _mm512_cvtps_epi32(_mm512_mul_ps(low, _mm512_set1_ps(factor)));
  const __m512i q_high = _mm512_cvtps_epi32(_mm512_mul_ps(high, _mm512_set1_ps(factor)));
  const __m128i bytes_low = _mm512_cvtsepi32_epi8(q_low);
  const __m128i bytes_high = _mm512_cvtsepi32_epi8(q_high);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(block.q), bytes_low);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(block.q + 16), bytes_high);
  const __m128i ones = _mm_set1_epi8(1);
  __m128i sums = _mm_dpbusd_epi32(_mm_dpbusd_epi32(_mm_setzero_si128(), ones, bytes_low), ones, bytes_high);
  sums = _mm_add_epi32(sums, _mm_shuffle_epi32(sums, 0x4e));
  sums = _mm_add_epi32(sums, _mm_shuffle_epi32(sums, 0xb1));
  const int32_t sum = _mm_cvtsi128_si32(sums);
  block.scale = scale;
  block.scaled_sum = scale * static_cast<float>(sum);
  block.minus_8 = -8 * sum;
  block.minus_128 = -128 * sum;
}

void prepare(const float* x, int64_t cols, std::byte* prepared) {
  auto* blocks = reinterpret_cast<ActivationBlock*>(prepared);
  const int64_t count = cols / kBlock;
  for (int64_t b = 0; b < count; ++b) prepare_block(x + b * kBlock, blocks[b]);
  if (count % 2 != 0) __builtin_memset(static_cast<void*>(blocks + count), 0, sizeof(ActivationBlock));
}

// ---- products

#define TERN_INLINE [[gnu::always_inline]] inline
#define TERN_UNROLL _Pragma("GCC unroll 16")

struct CodePair {
  __m512i first, second;  // elements 8 p .. 8 p + 3 and 8 p + 4 .. 8 p + 7 of 16 rows
};

template <typename F>
TERN_INLINE __m512i with_high_bit(__m512i nibbles, __m512i high, int group) {
  if constexpr (F::kBits != 5) return nibbles;
  const __m512i shifted = group < 4 ? _mm512_slli_epi16(high, static_cast<unsigned>(4 - group))
                                    : _mm512_srli_epi16(high, static_cast<unsigned>(group - 4));
  return _mm512_ternarylogic_epi32(nibbles, shifted, _mm512_set1_epi8(16), 0xf8);  // a | (b & c)
}

// What the codes stand for plus kZero, in every 16 bytes.
template <typename F>
TERN_INLINE __m512i table() {
  const __m128i values = _mm_loadu_si128(reinterpret_cast<const __m128i*>(F::kValues));
  return _mm512_broadcast_i32x4(_mm_add_epi8(values, _mm_set1_epi8(static_cast<char>(F::kZero))));
}

template <typename F>
TERN_INLINE CodePair load_codes(const std::byte* codes, __m512i high, int pair) {
  if constexpr (F::kBits == 8) {
    return {_mm512_load_si512(codes + 128 * pair), _mm512_load_si512(codes + 128 * pair + 64)};
  }
  const __m512i mask = _mm512_set1_epi8(15);
  const __m512i both = _mm512_load_si512(codes + 64 * pair);
  const __m512i first = _mm512_and_si512(both, mask);
  const __m512i second = _mm512_and_si512(_mm512_srli_epi16(both, 4), mask);
  if constexpr (F::kTable) return {_mm512_shuffle_epi8(table<F>(), first), _mm512_shuffle_epi8(table<F>(), second)};
  return {with_high_bit<F>(first, high, 2 * pair), with_high_bit<F>(second, high, 2 * pair + 1)};
}

TERN_INLINE __m512i broadcast4(const int8_t* q) {
  int32_t four;
  __builtin_memcpy(&four, q, sizeof(four));
  return _mm512_set1_epi32(four);
}

TERN_INLINE __m512 load_f16(const std::byte* from) {
  return _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(from)));
}

template <typename F>
TERN_INLINE __m512 load_scales(const std::byte* from) {
  if constexpr (!F::kScaleBf16) return load_f16(from);
  const __m256i bits = _mm256_load_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

template <typename F>
TERN_INLINE __m512i first_sum(const ActivationBlock& a) {
  if constexpr (F::kZero == 8) return _mm512_set1_epi32(a.minus_8);
  if constexpr (F::kZero == 16) return _mm512_slli_epi32(_mm512_set1_epi32(a.minus_8), 1);
  if constexpr (F::kZero == 128) return _mm512_set1_epi32(a.minus_128);
  return _mm512_setzero_si512();
}

// The prepared rows of a tile's tokens.
struct FewRows {
  FewRows(const std::byte* first, int64_t row_stride) : at(first), stride(row_stride) {}
  TERN_INLINE const std::byte* operator[](int t) const { return at + t * stride; }
  TERN_INLINE void advance(int64_t bytes) { at += bytes; }
  TERN_INLINE void forget() {}
  const std::byte* at;
  int64_t stride;
};
template <int T>
using Rows = std::conditional_t<(T > kTile), TokenRows, FewRows>;

TERN_INLINE const ActivationBlock& block_at(const std::byte* prepared) {
  return *reinterpret_cast<const ActivationBlock*>(prepared);
}

// One block of 16 rows x T tokens.
template <typename F, int T>
TERN_INLINE void add_block(const std::byte* unit, int half, Rows<T>& rows, __m512 (&sums)[T]) {
  const std::byte* codes = unit + Unit<F>::kCodesAt + half * Unit<F>::kBlockCodes;
  __m512i high{};
  if constexpr (F::kBits == 5) high = _mm512_load_si512(unit + Unit<F>::kHighAt + half * 64);
  __m512i dots[T];
  TERN_UNROLL
  for (int t = 0; t < T; ++t) dots[t] = first_sum<F>(block_at(rows[t]));
  TERN_UNROLL
  for (int pair = 0; pair < 4; ++pair) {
    const CodePair c = load_codes<F>(codes, high, pair);
    rows.forget();
    TERN_UNROLL
    for (int t = 0; t < T; ++t) {
      dots[t] = _mm512_dpbusd_epi32(dots[t], c.first, broadcast4(block_at(rows[t]).q + 8 * pair));
    }
    rows.forget();
    TERN_UNROLL
    for (int t = 0; t < T; ++t) {
      dots[t] = _mm512_dpbusd_epi32(dots[t], c.second, broadcast4(block_at(rows[t]).q + 8 * pair + 4));
    }
  }
  rows.forget();
  const __m512 scales = load_scales<F>(unit + half * 32);
  TERN_UNROLL
  for (int t = 0; t < T; ++t) {
    const __m512 scale = _mm512_mul_ps(scales, _mm512_set1_ps(block_at(rows[t]).scale));
    sums[t] = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(dots[t]), sums[t]);
  }
  if constexpr (Unit<F>::kMins) {
    rows.forget();
    __m512 mins = load_f16(unit + Unit<F>::kMinsAt + half * 32);
    if constexpr (F::kZeroPoint) mins = _mm512_mul_ps(scales, mins);
    TERN_UNROLL
    for (int t = 0; t < T; ++t) {
      sums[t] = _mm512_fmadd_ps(mins, _mm512_set1_ps(block_at(rows[t]).scaled_sum), sums[t]);
    }
  }
}

// 16 rows x T tokens over the k of a chunk.
template <typename F, int T, bool kAhead>
[[gnu::aligned(64)]] void tile(const TileArgs& args) {
  const std::byte* unit = args.weights;
  LookAhead ahead = args.ahead;
  Rows<T> rows(args.prepared, args.prepared_stride);
  __m512 sums[T];
  TERN_UNROLL
  for (int t = 0; t < T; ++t) {
    sums[t] = args.first ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(args.rows, args.out + t * args.out_stride);
  }
  for (int64_t u = 0; u < args.units; ++u, unit += Unit<F>::kBytes) {
    if constexpr (kAhead) ahead.next<Unit<F>::kBytes>();
#pragma GCC unroll 1
    for (int half = 0; half < 2; ++half, rows.advance(sizeof(ActivationBlock))) add_block<F, T>(unit, half, rows, sums);
  }
  const __m512 bias = args.bias == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(args.rows, args.bias);
  TERN_UNROLL
  for (int t = 0; t < T; ++t) {
    if (args.last) sums[t] = _mm512_add_ps(sums[t], bias);
    _mm512_mask_storeu_ps(args.out + t * args.out_stride, args.rows, sums[t]);
  }
}

template <typename F>
constexpr TileFunction kTiles[kWideTile] = {tile<F, 1, false>, tile<F, 2, false>, tile<F, 3, false>, tile<F, 4, true>,
                                            tile<F, 5, true>,  tile<F, 6, true>,  tile<F, 7, true>,  tile<F, 8, true>,
                                            tile<F, 9, true>,  tile<F, 10, true>, tile<F, 11, true>, tile<F, 12, true>,
                                            tile<F, 13, true>, tile<F, 14, true>};
// Those of fewer than kPrefetchTokens in jobs that ask for weights ahead.
template <typename F>
constexpr TileFunction kTilesAhead[kTile] = {tile<F, 1, true>, tile<F, 2, true>, tile<F, 3, true>, tile<F, 4, true>,
                                             tile<F, 5, true>, tile<F, 6, true>, tile<F, 7, true>, tile<F, 8, true>};

template <typename F>
void run_format(const LinearJob& job, int64_t begin, int64_t end) {
  run_panels<Unit<F>>(job, job.tokens <= kTile && job.look_ahead ? kTilesAhead<F> : kTiles<F>, kWideTile, begin, end);
}

// ---- rows of the table

template <typename F>
uint64_t packed_bytes_of(const LinearDesc& desc) {
  return Chunks<Unit<F>>(desc).bytes();
}

template <typename F>
Cost cost_of(const LinearDesc& desc, int64_t tokens) {
  return panel_cost(desc, tokens, 8.0 * sizeof(typename F::Block) / kBlock, Arithmetic::kInt8);
}

// One layout serves the type without minima and, where there is one, the type with them.
template <typename Plain, typename Min>
struct Row {
  static bool is_plain(const LinearDesc& desc) { return desc.format == Plain::kFormat; }
  static bool supports(const LinearDesc& desc) {
    return (desc.format == Plain::kFormat || desc.format == Min::kFormat) && desc.cols > 0 && desc.cols % kBlock == 0;
  }
  static uint64_t packed_bytes(const LinearDesc& desc) {
    return is_plain(desc) ? packed_bytes_of<Plain>(desc) : packed_bytes_of<Min>(desc);
  }
  static void pack(const LinearDesc& desc, const std::byte* source, std::byte* packed, int64_t begin, int64_t end) {
    return (is_plain(desc) ? pack_panels<Plain> : pack_panels<Min>)(desc, source, packed, begin, end);
  }
  static void run(const LinearJob& job, int64_t begin, int64_t end) {
    return (is_plain(job.desc) ? run_format<Plain> : run_format<Min>)(job, begin, end);
  }
  static void read_row(const LinearDesc& desc, const std::byte* weights, int64_t row, float* out) {
    return (is_plain(desc) ? unpack_row<Plain> : unpack_row<Min>)(desc, weights, row, out);
  }
  static Cost cost(const LinearDesc& desc, int64_t tokens) {
    return is_plain(desc) ? cost_of<Plain>(desc, tokens) : cost_of<Min>(desc, tokens);
  }
  static constexpr LinearImpl make(const char* name, const char* layout) {
    return {.name = name,
            .layout = layout,
            .needs = kIsaAvx2 | kIsaAvx512 | kIsaAvx512Vnni,
            .panel_rows = kPanelRows,
            .supports = supports,
            .packed_bytes = packed_bytes,
            .pack = pack,
            .prepared_bytes = prepared_bytes,
            .prepare = prepare,
            .run = run,
            .read_row = read_row,
            .cost = cost};
  }
};

constexpr LinearImpl kRows[] = {
    Row<Q4_0, Q4_1>::make("avx512_q4x32", "q4x32"),         Row<Q5_0, Q5_1>::make("avx512_q5x32", "q5x32"),
    Row<Q8_0, Q8_0>::make("avx512_q8x32", "q8x32"),         Row<IQ4_NL, IQ4_NL>::make("avx512_iq4x32", "q4x32"),
    Row<MXFP4, MXFP4>::make("avx512_mxfp4x32", "mxfp4x32"), Row<U4Zero, U4Zero>::make("avx512_u4zx32", "u4zx32"),
};

}  // namespace

const LinearImplSpan kLinearAvx512 = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace tern
