// Linear for weights in blocks of 32 elements, on AMX: for many tokens over the packed matrices of linear_avx512.cpp,
// whose kernels take the jobs of few, to the same bits.
//
// A panel's chunk of k is expanded once for all its tokens into an L1 buffer: codes to signed bytes, zero taken off,
// which is a tile of 8 rows a block; scales and minima to f32. Then for 16 tokens at a time, block after block: one
// tile product gives the 16 x 16 integer dots, which pass through memory into the float steps that linear_avx512.cpp
// describes. The tile product of a block is under way while the float steps of the two before it run.
//
// Limit: a block of 16 tokens takes the vector ports 24 cycles (convert, multiply, multiply-add a token; 32 with
// minima), the tiles 16 of which half is used (32 of 64 k): 340 multiply-adds a cycle, a third of what tiles can do.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"
#include "kernels/linear/chunked_panels.h"
#include "kernels/linear/linear_impl.h"
#include "kernels/linear/panels_amx.h"
#include "kernels/tiles_amx.h"
#include "quant/iq4_nl.h"
#include "quant/mxfp4.h"

namespace tern {
namespace {

#define TERN_INLINE [[gnu::always_inline]] inline
#define TERN_UNROLL _Pragma("GCC unroll 16")

// With fewer tokens the AVX-512 kernel is faster (measured: docs/performance/2026-11-26-cpu-amx.md).
constexpr int64_t kLeastTokens = 33;

// Layouts of linear_avx512.cpp, which says what is where; linear_amx_test.cpp would notice a difference.
constexpr int kBlock = 32;
struct ActivationBlock {
  int8_t q[kBlock];
  float scale;
  float scaled_sum;
  int32_t unused[2];
};
static_assert(sizeof(ActivationBlock) == 48);

// kValuesOf: what the codes stand for, where they stand for values of a table.
template <int kBitsOf, int kZeroOf, const int8_t* kValuesOf = nullptr, bool kScaleBf16Of = false>
struct Layout {
  static constexpr int kBits = kBitsOf, kZero = kZeroOf;
  static constexpr const int8_t* kValues = kValuesOf;
  static constexpr bool kScaleBf16 = kScaleBf16Of;
  static constexpr bool kMins = kZero == 0;
  static constexpr int kUnitCols = 2 * kBlock;
  static constexpr int64_t kPrepared = 2 * sizeof(ActivationBlock);
  static constexpr int kMinsAt = 64;
  static constexpr int kHighAt = kMins ? 128 : 64;
  static constexpr int kCodesAt = kHighAt + (kBits == 5 ? 128 : 0);
  static constexpr int kBlockCodes = kPanelRows * kBlock * (kBits == 8 ? 8 : 4) / 8;
  static constexpr int kBytes = kCodesAt + 2 * kBlockCodes;
};
using Q4_0 = Layout<4, 8>;
using Q4_1 = Layout<4, 0>;
using Q5_0 = Layout<5, 16>;
using Q5_1 = Layout<5, 0>;
using Q8_0 = Layout<8, 128>;
using IQ4_NL = Layout<4, 128, kIq4Values>;
using MXFP4 = Layout<4, 16, kMxfp4Doubled, true>;

// ---- a panel's chunk, expanded

constexpr int kMostBlocks = 36;  // of a chunk, in any layout

struct alignas(64) Expanded {
  int8_t codes[kMostBlocks][kBlock * kPanelRows];  // [8 groups][16 rows][4]
  float scales[kMostBlocks][kPanelRows];
  float mins[kMostBlocks][kPanelRows];
};

TERN_INLINE __m512 load_f16(const std::byte* from) {
  return _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(from)));
}

// Group 0..7 of a block's codes, unsigned.
template <typename L, int kGroup>
TERN_INLINE __m512i group(const std::byte* codes, __m512i high) {
  if constexpr (L::kBits == 8) return _mm512_load_si512(codes + 64 * kGroup);
  const __m512i both = _mm512_load_si512(codes + kGroup / 2 * 64);
  const __m512i nibbles = kGroup % 2 == 0 ? both : _mm512_srli_epi16(both, 4);
  const __m512i code = _mm512_and_si512(nibbles, _mm512_set1_epi8(15));
  if constexpr (L::kBits != 5) return code;
  const __m512i fifth = kGroup < 4 ? _mm512_slli_epi16(high, kGroup < 4 ? 4 - kGroup : 0)
                                   : _mm512_srli_epi16(high, kGroup < 4 ? 0 : kGroup - 4);
  return _mm512_ternarylogic_epi32(code, fifth, _mm512_set1_epi8(16), 0xf8);  // a | (b & c)
}

template <typename L, int kGroup>
TERN_INLINE void expand_group(const std::byte* codes, __m512i high, int8_t* to) {
  __m512i values = group<L, kGroup>(codes, high);
  if constexpr (L::kValues != nullptr) {
    const __m128i table = _mm_loadu_si128(reinterpret_cast<const __m128i*>(L::kValues));
    values = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), values);
  } else {
    values = _mm512_sub_epi8(values, _mm512_set1_epi8(static_cast<char>(L::kZero)));
  }
  _mm512_store_si512(to + 64 * kGroup, values);
}

template <typename L>
TERN_INLINE __m512 load_scales(const std::byte* from) {
  if constexpr (!L::kScaleBf16) return load_f16(from);
  const __m256i bits = _mm256_load_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

// The panel's units lie at `unit`; the next panel's follow them and are asked for.
template <typename L>
void expand(const std::byte* unit, int64_t units, Expanded& to) {
  static_assert(2 * (kChunkBytes / (L::kBytes + kTile * L::kPrepared)) <= kMostBlocks);
  const int64_t bytes = units * L::kBytes;
  for (int64_t b = 0; b < 2 * units; ++b) {
    const int64_t half = b % 2;
    if (half == 0) {
      TERN_UNROLL
      for (int line = 0; line < L::kBytes; line += 64) _mm_prefetch(unit + bytes + line, _MM_HINT_T1);
    }
    const std::byte* codes = unit + L::kCodesAt + half * L::kBlockCodes;
    __m512i high{};
    if constexpr (L::kBits == 5) high = _mm512_load_si512(unit + L::kHighAt + half * 64);
    expand_group<L, 0>(codes, high, to.codes[b]);
    expand_group<L, 1>(codes, high, to.codes[b]);
    expand_group<L, 2>(codes, high, to.codes[b]);
    expand_group<L, 3>(codes, high, to.codes[b]);
    expand_group<L, 4>(codes, high, to.codes[b]);
    expand_group<L, 5>(codes, high, to.codes[b]);
    expand_group<L, 6>(codes, high, to.codes[b]);
    expand_group<L, 7>(codes, high, to.codes[b]);
    _mm512_store_ps(to.scales[b], load_scales<L>(unit + half * 32));
    if constexpr (L::kMins) _mm512_store_ps(to.mins[b], load_f16(unit + L::kMinsAt + half * 32));
    unit += half * L::kBytes;
  }
}

// ---- products

// Tile registers: for 16 tokens two of each, so that neighbouring blocks do not wait for each other; for the last few
// tokens sums and activations of their own, since another configuration costs as much as ten products.
constexpr int kC = 0, kA = 2, kB = 4, kLastC = 6, kLastA = 7;

TileShapes shapes_for(int64_t tokens) {
  TileShapes shapes;
  for (int i = 0; i < 2; ++i) {
    shapes.set(kC + i, kTileTokens, 64);
    shapes.set(kA + i, kTileTokens, kBlock);
    shapes.set(kB + i, kBlock / 4, 64);
  }
  if (tokens % kTileTokens != 0) {
    shapes.set(kLastC, tokens % kTileTokens, 64);
    shapes.set(kLastA, tokens % kTileTokens, kBlock);
  }
  return shapes;
}

template <int kEither, int T>
TERN_INLINE void multiply(const int8_t* codes, const std::byte* prepared, int64_t stride, int32_t* dots) {
  constexpr int kSums = T == kTileTokens ? kC + kEither : kLastC;
  constexpr int kActivations = T == kTileTokens ? kA + kEither : kLastA;
  load_tile<kB + kEither>(codes, 64);
  load_tile<kActivations>(prepared, stride);
  zero_tile<kSums>();
  add_products_ss<kSums, kActivations, kB + kEither>();
  store_tile<kSums>(dots, 64);
}

TERN_INLINE const ActivationBlock& block_of(const std::byte* prepared, int64_t offset) {
  return *reinterpret_cast<const ActivationBlock*>(prepared + offset);
}

template <int T, bool kMins>
TERN_INLINE void add_block(const Expanded& w, int64_t block, const int32_t* dots, const std::byte* prepared,
                           int64_t stride, __m512 (&sums)[T]) {
  const __m512 scales = _mm512_load_ps(w.scales[block]);
  const __m512 mins = kMins ? _mm512_load_ps(w.mins[block]) : _mm512_setzero_ps();
  TERN_UNROLL
  for (int t = 0; t < T; ++t) {
    const ActivationBlock& a = block_of(prepared, t * stride);
    const __m512 scale = _mm512_mul_ps(scales, _mm512_set1_ps(a.scale));
    sums[t] = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(_mm512_load_si512(dots + t * kPanelRows)), sums[t]);
    if constexpr (kMins) sums[t] = _mm512_fmadd_ps(mins, _mm512_set1_ps(a.scaled_sum), sums[t]);
  }
}

// One panel and one chunk of k, for the tokens of a tile.
struct TileJob {
  int64_t blocks;             // an even number
  const std::byte* prepared;  // of the first token, from the chunk's first block on
  int64_t prepared_stride;
  bool first, last;  // chunk: sums begin at zero; they go to `out`, with the bias
  float* sums;       // [tokens, 16]
  float* out;        // [tokens, out_stride]
  int64_t out_stride;
  __mmask16 rows;
  const float* bias;  // [rows] or null
};

template <int T>
TERN_INLINE void put_sums(const TileJob& job, const __m512 (&sums)[T]) {
  if (!job.last) {
    TERN_UNROLL
    for (int t = 0; t < T; ++t) _mm512_store_ps(job.sums + t * kPanelRows, sums[t]);
    return;
  }
  const __m512 bias = job.bias == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(job.rows, job.bias);
  TERN_UNROLL
  for (int t = 0; t < T; ++t) {
    _mm512_mask_storeu_ps(job.out + t * job.out_stride, job.rows, _mm512_add_ps(sums[t], bias));
  }
}

template <int T, bool kMins>
void tile(const Expanded& w, const TileJob& job) {
  constexpr int64_t kNext = sizeof(ActivationBlock);
  alignas(64) int32_t dots[4][T * kPanelRows];
  const int64_t stride = job.prepared_stride;
  const std::byte* prepared = job.prepared;
  __m512 sums[T];
  TERN_UNROLL
  for (int t = 0; t < T; ++t) sums[t] = job.first ? _mm512_setzero_ps() : _mm512_load_ps(job.sums + t * kPanelRows);
  multiply<0, T>(w.codes[0], prepared, stride, dots[0]);
  multiply<1, T>(w.codes[1], prepared + kNext, stride, dots[1]);
  for (int64_t b = 0; b < job.blocks; b += 2, prepared += 2 * kNext) {
    int32_t(*now)[T * kPanelRows] = dots + (b & 2);
    int32_t(*later)[T * kPanelRows] = dots + (2 - (b & 2));
    const bool more = b + 2 < job.blocks;
    if (more) multiply<0, T>(w.codes[b + 2], prepared + 2 * kNext, stride, later[0]);
    add_block<T, kMins>(w, b, now[0], prepared, stride, sums);
    if (more) multiply<1, T>(w.codes[b + 3], prepared + 3 * kNext, stride, later[1]);
    add_block<T, kMins>(w, b + 1, now[1], prepared + kNext, stride, sums);
  }
  put_sums<T>(job, sums);
}

using ExpandedTile = void (*)(const Expanded&, const TileJob&);
template <bool kMins>
constexpr ExpandedTile kTiles[kTileTokens] = {tile<1, kMins>,  tile<2, kMins>,  tile<3, kMins>,  tile<4, kMins>,
                                              tile<5, kMins>,  tile<6, kMins>,  tile<7, kMins>,  tile<8, kMins>,
                                              tile<9, kMins>,  tile<10, kMins>, tile<11, kMins>, tile<12, kMins>,
                                              tile<13, kMins>, tile<14, kMins>, tile<15, kMins>, tile<16, kMins>};

// All tokens of the job, many as they are, for the panels [begin, end).
template <typename L>
void run_expanded(const LinearJob& job, int64_t begin, int64_t end) {
  Expanded expanded;
  BlockSums sums;
  const Chunks<L> chunks(job.desc);
  configure_tiles(shapes_for(job.tokens));
  walk_panels<1>(job.tokens, begin, end, chunks.count, [&](const WalkStep& step) {
    const int64_t unit = chunks.first_unit(step.chunk);
    const int64_t units = chunks.first_unit(step.chunk + 1) - unit;
    expand<L>(job.weights + chunks.offset(step.panel, step.chunk), units, expanded);
    TileJob tile{.blocks = 2 * units,
                 .prepared_stride = job.prepared_stride,
                 .first = step.chunk == 0,
                 .last = step.chunk + 1 == chunks.count,
                 .out_stride = job.out_stride,
                 .rows = rows_of(job.desc, step.panel),
                 .bias = job.bias == nullptr ? nullptr : job.bias + step.panel * kPanelRows};
    for (int64_t token = step.token; token < step.token_end; token += kTileTokens) {
      tile.prepared = job.prepared + token * job.prepared_stride + unit * L::kPrepared;
      tile.sums = step.sums(sums, step.panel, token);
      tile.out = job.out + token * job.out_stride + step.panel * kPanelRows;
      const int64_t next = smaller(kTileTokens, step.token_end - token - kTileTokens);
      if (step.fetches() && next > 0) {
        const std::byte* ahead = tile.prepared + kTileTokens * job.prepared_stride;
        prefetch_rows(ahead, job.prepared_stride, next, units * L::kPrepared);
      }
      kTiles<L::kMins>[smaller(kTileTokens, step.token_end - token) - 1](expanded, tile);
    }
  });
  release_tiles();
}

// ---- rows of the table

// One layout serves the type without minima and, where there is one, the type with them.
template <RowName kShared, typename Plain, Format plain, typename Min = Plain, Format min = plain>
struct Row {
  static const LinearImpl& few() { return SharedRow<kLinearAvx512, kShared>::impl(); }
  static bool supports(const LinearDesc& desc) {
    return (desc.format == plain || desc.format == min) && few().supports(desc);
  }
  static void run(const LinearJob& job, int64_t begin, int64_t end) {
    if (job.tokens < kLeastTokens) return few().run(job, begin, end);
    (job.desc.format == plain ? run_expanded<Plain> : run_expanded<Min>)(job, begin, end);
  }
  static constexpr LinearImpl make(const char* name, const char* layout) {
    return integer_row<kLinearAvx512, kShared, kLeastTokens>(name, layout, supports, run);
  }
};

constexpr LinearImpl kRows[] = {
    Row<"avx512_q4x32", Q4_0, Format::kQ4_0, Q4_1, Format::kQ4_1>::make("amx_q4x32", "q4x32"),
    Row<"avx512_q5x32", Q5_0, Format::kQ5_0, Q5_1, Format::kQ5_1>::make("amx_q5x32", "q5x32"),
    Row<"avx512_q8x32", Q8_0, Format::kQ8_0>::make("amx_q8x32", "q8x32"),
    Row<"avx512_iq4x32", IQ4_NL, Format::kIQ4_NL>::make("amx_iq4x32", "q4x32"),
    Row<"avx512_mxfp4x32", MXFP4, Format::kMXFP4>::make("amx_mxfp4x32", "mxfp4x32"),
};

}  // namespace

const LinearImplSpan kLinearAmx = {kRows, sizeof kRows / sizeof kRows[0]};

}  // namespace tern
