// Linear for weights in blocks of 32 elements, on AVX-512 VNNI. Layouts q4x32 (Q4_0, Q4_1, IQ4_NL), q5x32 (Q5_0, Q5_1),
// q8x32 (Q8_0) and mxfp4x32 (MXFP4: q4x32 with scales in bf16).
//
// Layout. A panel is 16 weight rows, one a lane of a zmm, in units of 64 k (two blocks; an odd last block is followed
// by a zero one); chunked_panels.h says in which order they lie. A unit is
//   scales  [2 blocks][16 rows] f16      64 bytes
//   minima  [2 blocks][16 rows] f16      64 bytes, Q4_1 and Q5_1
//   high    [2 blocks][16 rows][4] u8   128 bytes, q5x32: bit g of byte i is the fifth bit of element 4 g + i
//   codes   4 and 5 bits: [2 blocks][4 pairs][16 rows][4] u8, low nibble element 8 p + i, high nibble 8 p + 4 + i
//           8 bits: [2 blocks][8 groups][16 rows][4] u8, element 4 g + i, stored + 128
// so that an aligned load and at most two operations give 16 rows x 4 consecutive k as unsigned bytes, vpdpbusd's food.
// Codes that stand for values of a table (IQ4_NL, MXFP4) take one shuffle more; the table is stored plus zero.
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

#include "kernels/isa.h"
#include "kernels/linear/chunked_panels.h"
#include "kernels/linear/linear_impl.h"
#include "kernels/linear/panel_pack.h"
#include "quant/iq4_nl.h"
#include "quant/mxfp4.h"
#include "quant/q4_0.h"
#include "quant/q4_1.h"
#include "quant/q5_0.h"
#include "quant/q5_1.h"
#include "quant/q8_0.h"

namespace tern {
namespace {

constexpr int kBlock = 32;
struct ActivationBlock {
  int8_t q[kBlock];
  float scale;
  float scaled_sum;   // scale * sum of q
  int32_t minus_8;    // -8 * sum of q
  int32_t minus_128;  // -128 * sum of q
};
static_assert(sizeof(ActivationBlock) == 48);

// Per format: kZero is what the unsigned codes are too large by; scale() is the head's 16 bits, f16 but for kScaleBf16;
// kValues, where there is one, is the table of what the 4-bit codes stand for, kZero added. none() is a block of zeros.
template <typename B>
struct Plain {
  using Block = B;
  static constexpr bool kTable = false, kScaleBf16 = false;
  static uint16_t scale(const Block& block) { return block.d; }
  static constexpr Block none() { return {}; }
};
struct Q4_0 : Plain<BlockQ4_0> {
  static constexpr int kBits = 4, kZero = 8;
};
struct Q4_1 : Plain<BlockQ4_1> {
  static constexpr int kBits = 4, kZero = 0;
};
struct Q5_0 : Plain<BlockQ5_0> {
  static constexpr int kBits = 5, kZero = 16;
};
struct Q5_1 : Plain<BlockQ5_1> {
  static constexpr int kBits = 5, kZero = 0;
};
struct Q8_0 : Plain<BlockQ8_0> {
  static constexpr int kBits = 8, kZero = 128;
  static constexpr Block none() {
    Block block{};
    for (int8_t& q : block.qs) q = -128;  // stored as 0
    return block;
  }
};
struct IQ4_NL : Plain<BlockIQ4_NL> {
  static constexpr int kBits = 4, kZero = 128;
  static constexpr bool kTable = true;
  static constexpr const int8_t (&kValues)[16] = kIq4Values;
};
// The scale is a power of two from 2^-128 to 2^127, too wide for f16 and exact in bf16.
struct MXFP4 : Plain<BlockMXFP4> {
  static constexpr int kBits = 4, kZero = 16;
  static constexpr bool kTable = true, kScaleBf16 = true;
  static constexpr const int8_t (&kValues)[16] = kMxfp4Doubled;
  static uint16_t scale(const Block& block) { return half_scale_mxfp4(block.e); }
};

// Where things are in a unit.
template <typename F>
struct Unit {
  static constexpr int kUnitCols = 2 * kBlock;
  static constexpr int64_t kPrepared = 2 * sizeof(ActivationBlock);
  static constexpr bool kMins = F::kZero == 0;
  static constexpr int kMinsAt = 64;
  static constexpr int kHighAt = kMins ? 128 : 64;
  static constexpr int kCodesAt = kHighAt + (F::kBits == 5 ? 128 : 0);
  static constexpr int kBlockCodes = kPanelRows * kBlock * (F::kBits == 8 ? 8 : 4) / 8;
  static constexpr int kBytes = kCodesAt + 2 * kBlockCodes;
};

// ---- packing

void store_u16(std::byte* to, uint16_t value) { __builtin_memcpy(to, &value, sizeof(value)); }
uint32_t load_u32(const void* from) {
  uint32_t value;
  __builtin_memcpy(&value, from, sizeof(value));
  return value;
}

// One block of 16 rows; rows that do not exist point to F::kNone.
template <typename F>
void pack_block(const typename F::Block* const (&rows)[kPanelRows], std::byte* unit, int half) {
  const uint8_t* qs[kPanelRows];
  for (int lane = 0; lane < kPanelRows; ++lane) {
    qs[lane] = reinterpret_cast<const uint8_t*>(rows[lane]->qs);
    store_u16(unit + half * 32 + lane * 2, F::scale(*rows[lane]));
    if constexpr (Unit<F>::kMins) store_u16(unit + Unit<F>::kMinsAt + half * 32 + lane * 2, rows[lane]->m);
    if constexpr (F::kBits == 5) {
      const uint32_t high = fifth_bits(rows[lane]->qh);
      __builtin_memcpy(unit + Unit<F>::kHighAt + half * 64 + lane * 4, &high, sizeof(high));
    }
  }
  auto* codes = reinterpret_cast<uint8_t*>(unit) + Unit<F>::kCodesAt + half * Unit<F>::kBlockCodes;
  for (int first = 0; first < kPanelRows; first += 8) {
    (F::kBits == 8 ? pack_bytes : pack_nibbles)(qs + first, codes + first * 4, 64);
  }
}

template <typename F>
void pack_panels(const LinearDesc& desc, const std::byte* source, std::byte* packed, int64_t begin, int64_t end) {
  static constexpr typename F::Block kNone = F::none();
  const Chunks<Unit<F>> chunks(desc);
  const int64_t blocks = desc.cols / kBlock;
  for (int64_t panel = begin; panel < end; ++panel) {
    const typename F::Block* first[kPanelRows];
    int64_t step[kPanelRows];
    for (int lane = 0; lane < kPanelRows; ++lane) {
      const int64_t row = panel * kPanelRows + lane;
      const bool exists = row < desc.rows;
      first[lane] = exists ? reinterpret_cast<const typename F::Block*>(source) + row * blocks : &kNone;
      step[lane] = exists ? 1 : 0;
    }
    chunks.each_unit(panel, [&](int64_t unit, int64_t at) {
      if (unit * 2 + 2 > blocks) __builtin_memset(packed + at, 0, Unit<F>::kBytes);
      for (int64_t b = unit * 2; b < unit * 2 + 2 && b < blocks; ++b) {
        const typename F::Block* rows[kPanelRows];
        for (int lane = 0; lane < kPanelRows; ++lane) rows[lane] = first[lane] + b * step[lane];
        pack_block<F>(rows, packed + at, static_cast<int>(b % 2));
      }
    });
  }
}

// ---- reading a row back

float f32_of_bf16(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  __builtin_memcpy(&value, &wide, sizeof(value));
  return value;
}

template <typename F>
void unpack_block(const std::byte* unit, int lane, int half, float* out) {
  const auto* scales = reinterpret_cast<const uint16_t*>(unit) + half * 16 + lane;
  const float d = F::kScaleBf16 ? f32_of_bf16(*scales) : _cvtsh_ss(*scales);
  const float m = Unit<F>::kMins ? _cvtsh_ss(scales[Unit<F>::kMinsAt / 2]) : 0.0f;
  const auto* codes = reinterpret_cast<const uint8_t*>(unit) + Unit<F>::kCodesAt + half * Unit<F>::kBlockCodes;
  for (int k = 0; k < kBlock; ++k) {
    int code;
    if constexpr (F::kBits == 8) {
      code = codes[k / 4 * 64 + lane * 4 + k % 4];
    } else {
      code = codes[k / 8 * 64 + lane * 4 + k % 4] >> (k / 4 % 2 * 4) & 15;
    }
    if constexpr (F::kBits == 5) {
      const auto* high = reinterpret_cast<const uint8_t*>(unit) + Unit<F>::kHighAt + half * 64 + lane * 4;
      code |= (high[k % 4] >> k / 4 & 1) << 4;
    }
    if constexpr (F::kTable) code = F::kValues[code] + F::kZero;
    const float value = d * static_cast<float>(code - F::kZero);
    out[k] = Unit<F>::kMins ? value + m : value;
  }
}

template <typename F>
void unpack_row(const LinearDesc& desc, const std::byte* weights, int64_t row, float* out) {
  const Chunks<Unit<F>> chunks(desc);
  const int lane = static_cast<int>(row % kPanelRows);
  chunks.each_unit(row / kPanelRows, [&](int64_t unit, int64_t at) {
    for (int64_t b = unit * 2; b < unit * 2 + 2 && b < desc.cols / kBlock; ++b) {
      unpack_block<F>(weights + at, lane, static_cast<int>(b % 2), out + b * kBlock);
    }
  });
}

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

TERN_INLINE __m512i broadcast4(const int8_t* q) { return _mm512_set1_epi32(static_cast<int32_t>(load_u32(q))); }

TERN_INLINE __m512 load_f16(const std::byte* from) {
  return _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(from)));
}

template <typename F>
TERN_INLINE __m512 load_scales(const std::byte* from) {
  if constexpr (!F::kScaleBf16) return load_f16(from);
  const __m256i bits = _mm256_load_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

TERN_INLINE const ActivationBlock& block_of(const std::byte* prepared, int64_t offset) {
  return *reinterpret_cast<const ActivationBlock*>(prepared + offset);
}

template <typename F>
TERN_INLINE __m512i first_sum(const ActivationBlock& a) {
  if constexpr (F::kZero == 8) return _mm512_set1_epi32(a.minus_8);
  if constexpr (F::kZero == 16) return _mm512_slli_epi32(_mm512_set1_epi32(a.minus_8), 1);
  if constexpr (F::kZero == 128) return _mm512_set1_epi32(a.minus_128);
  return _mm512_setzero_si512();
}

// 16 rows x T tokens over the k of a chunk.
template <typename F, int T>
[[gnu::aligned(64)]] void tile(const TileArgs& args) {
  const std::byte* unit = args.weights;
  const std::byte* prepared = args.prepared;
  LookAhead ahead = args.ahead;
  const int64_t stride = args.prepared_stride;
  __m512 sums[T];
  TERN_UNROLL
  for (int t = 0; t < T; ++t) {
    sums[t] = args.first ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(args.rows, args.out + t * args.out_stride);
  }
  for (int64_t u = 0; u < args.units; ++u, unit += Unit<F>::kBytes) {
    if constexpr (T >= kLookAheadTile) ahead.next<Unit<F>::kBytes>();
#pragma GCC unroll 1
    for (int half = 0; half < 2; ++half, prepared += sizeof(ActivationBlock)) {
      const std::byte* codes = unit + Unit<F>::kCodesAt + half * Unit<F>::kBlockCodes;
      __m512i high{};
      if constexpr (F::kBits == 5) high = _mm512_load_si512(unit + Unit<F>::kHighAt + half * 64);
      __m512i dots[T];
      TERN_UNROLL
      for (int t = 0; t < T; ++t) dots[t] = first_sum<F>(block_of(prepared, t * stride));
      TERN_UNROLL
      for (int pair = 0; pair < 4; ++pair) {
        const CodePair c = load_codes<F>(codes, high, pair);
        TERN_UNROLL
        for (int t = 0; t < T; ++t)
          dots[t] = _mm512_dpbusd_epi32(dots[t], c.first, broadcast4(block_of(prepared, t * stride).q + 8 * pair));
        TERN_UNROLL
        for (int t = 0; t < T; ++t) {
          dots[t] = _mm512_dpbusd_epi32(dots[t], c.second, broadcast4(block_of(prepared, t * stride).q + 8 * pair + 4));
        }
      }
      const __m512 scales = load_scales<F>(unit + half * 32);
      TERN_UNROLL
      for (int t = 0; t < T; ++t) {
        const __m512 scale = _mm512_mul_ps(scales, _mm512_set1_ps(block_of(prepared, t * stride).scale));
        sums[t] = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(dots[t]), sums[t]);
      }
      if constexpr (Unit<F>::kMins) {
        const __m512 mins = load_f16(unit + Unit<F>::kMinsAt + half * 32);
        TERN_UNROLL
        for (int t = 0; t < T; ++t)
          sums[t] = _mm512_fmadd_ps(mins, _mm512_set1_ps(block_of(prepared, t * stride).scaled_sum), sums[t]);
      }
    }
  }
  const __m512 bias = args.bias == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(args.rows, args.bias);
  TERN_UNROLL
  for (int t = 0; t < T; ++t) {
    if (args.last) sums[t] = _mm512_add_ps(sums[t], bias);
    _mm512_mask_storeu_ps(args.out + t * args.out_stride, args.rows, sums[t]);
  }
}

template <typename F>
constexpr TileFunction kTiles[kTile] = {tile<F, 1>, tile<F, 2>, tile<F, 3>, tile<F, 4>,
                                        tile<F, 5>, tile<F, 6>, tile<F, 7>, tile<F, 8>};

template <typename F>
void run_format(const LinearJob& job, int64_t begin, int64_t end) {
  run_panels<Unit<F>>(job, kTiles<F>, begin, end);
}

// ---- rows of the table

template <typename F>
uint64_t packed_bytes_of(const LinearDesc& desc) {
  return Chunks<Unit<F>>(desc).bytes();
}

template <typename F>
Cost cost_of(const LinearDesc& desc, int64_t tokens) {
  return panel_cost(desc, tokens, 8.0 * sizeof(typename F::Block) / kBlock);
}

// One layout serves the type without minima and, where there is one, the type with them.
template <typename Plain, Format plain, typename Min, Format min>
struct Row {
  static bool is_plain(const LinearDesc& desc) { return desc.format == plain; }
  static bool supports(const LinearDesc& desc) {
    return (desc.format == plain || desc.format == min) && desc.cols > 0 && desc.cols % kBlock == 0;
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
    Row<Q4_0, Format::kQ4_0, Q4_1, Format::kQ4_1>::make("avx512_q4x32", "q4x32"),
    Row<Q5_0, Format::kQ5_0, Q5_1, Format::kQ5_1>::make("avx512_q5x32", "q5x32"),
    Row<Q8_0, Format::kQ8_0, Q8_0, Format::kQ8_0>::make("avx512_q8x32", "q8x32"),
    Row<IQ4_NL, Format::kIQ4_NL, IQ4_NL, Format::kIQ4_NL>::make("avx512_iq4x32", "q4x32"),
    Row<MXFP4, Format::kMXFP4, MXFP4, Format::kMXFP4>::make("avx512_mxfp4x32", "mxfp4x32"),
};

}  // namespace

const LinearImplSpan kLinearAvx512 = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace tern
