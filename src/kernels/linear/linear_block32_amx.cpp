// Linear for weights in blocks of 32 elements, on AMX: for many tokens over the packed matrices of linear_avx512.cpp,
// whose kernels take the jobs of few, to the same bits.
//
// A panel's chunk of k is expanded once for all its tokens into an L1 buffer: codes to signed bytes, zero taken off,
// which is a tile of 8 rows a block; scales and minima to f32. Then for 16 tokens at a time, block after block: one
// tile product gives the 16 x 16 integer dots, which pass through memory into the float steps that linear_avx512.cpp
// describes.
//
// Limit: a block of 16 tokens takes the vector ports 24 cycles (convert, multiply, multiply-add a token; 32 with
// minima), the tiles 16 of which half is used (32 of 64 k): 340 multiply-adds a cycle, a third of what tiles can do.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"
#include "kernels/linear/block32_panel_avx512.h"
#include "kernels/linear/chunked_panels.h"
#include "kernels/linear/linear_impl.h"
#include "kernels/linear/panels_amx.h"
#include "kernels/tiles_amx.h"

namespace tern {
namespace {

#define TERN_INLINE [[gnu::always_inline]] inline
#define TERN_UNROLL _Pragma("GCC unroll 16")

// With fewer tokens the AVX-512 kernel is faster (measured: docs/performance/2026-11-26-cpu-amx.md).
constexpr int64_t kLeastTokens = 25;

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
template <typename F, int kGroup>
TERN_INLINE __m512i group(const std::byte* codes, __m512i high) {
  if constexpr (F::kBits == 8) return _mm512_load_si512(codes + 64 * kGroup);
  const __m512i both = _mm512_load_si512(codes + kGroup / 2 * 64);
  const __m512i nibbles = kGroup % 2 == 0 ? both : _mm512_srli_epi16(both, 4);
  const __m512i code = _mm512_and_si512(nibbles, _mm512_set1_epi8(15));
  if constexpr (F::kBits != 5) return code;
  const __m512i fifth = kGroup < 4 ? _mm512_slli_epi16(high, kGroup < 4 ? 4 - kGroup : 0)
                                   : _mm512_srli_epi16(high, kGroup < 4 ? 0 : kGroup - 4);
  return _mm512_ternarylogic_epi32(code, fifth, _mm512_set1_epi8(16), 0xf8);  // a | (b & c)
}

template <typename F, int kGroup>
TERN_INLINE void expand_group(const std::byte* codes, __m512i high, int8_t* to) {
  __m512i values = group<F, kGroup>(codes, high);
  if constexpr (F::kTable) {
    const __m128i table = _mm_loadu_si128(reinterpret_cast<const __m128i*>(F::kValues));
    values = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), values);
  } else {
    values = _mm512_sub_epi8(values, _mm512_set1_epi8(static_cast<char>(F::kZero)));
  }
  _mm512_store_si512(to + 64 * kGroup, values);
}

template <typename F>
TERN_INLINE __m512 load_scales(const std::byte* from) {
  if constexpr (!F::kScaleBf16) return load_f16(from);
  const __m256i bits = _mm256_load_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

template <typename F>
void expand(const std::byte* unit, int64_t units, Expanded& to) {
  static_assert(2 * (kChunkBytes / (Unit<F>::kBytes + kTile * Unit<F>::kPrepared)) <= kMostBlocks);
  for (int64_t b = 0; b < 2 * units; ++b) {
    const int64_t half = b % 2;
    const std::byte* codes = unit + Unit<F>::kCodesAt + half * Unit<F>::kBlockCodes;
    __m512i high{};
    if constexpr (F::kBits == 5) high = _mm512_load_si512(unit + Unit<F>::kHighAt + half * 64);
    expand_group<F, 0>(codes, high, to.codes[b]);
    expand_group<F, 1>(codes, high, to.codes[b]);
    expand_group<F, 2>(codes, high, to.codes[b]);
    expand_group<F, 3>(codes, high, to.codes[b]);
    expand_group<F, 4>(codes, high, to.codes[b]);
    expand_group<F, 5>(codes, high, to.codes[b]);
    expand_group<F, 6>(codes, high, to.codes[b]);
    expand_group<F, 7>(codes, high, to.codes[b]);
    const __m512 scales = load_scales<F>(unit + half * 32);
    _mm512_store_ps(to.scales[b], scales);
    if constexpr (Unit<F>::kMins) {
      const __m512 mins = load_f16(unit + Unit<F>::kMinsAt + half * 32);
      _mm512_store_ps(to.mins[b], F::kZeroPoint ? _mm512_mul_ps(scales, mins) : mins);
    }
    unit += half * Unit<F>::kBytes;
  }
}

// ---- activations

// Of jobs for tiles: 16 tokens together, of each block their codes, one load of a tile; then of each block their
// scales, then their scaled sums.
struct TilePlace {
  explicit TilePlace(int64_t cols)
      : blocks((cols + 2 * kBlock - 1) / (2 * kBlock) * 2),
        bytes(static_cast<int64_t>(SharedPreparation<kLinearAvx512>::prepared_bytes(cols)) * kTileTokens) {}
  static constexpr int64_t kCodes = kTileTokens * kBlock, kFloats = kTileTokens * sizeof(float);
  int64_t codes(int64_t block) const { return block * kCodes; }
  int64_t scales(int64_t block) const { return blocks * kCodes + block * kFloats; }
  int64_t scaled_sums(int64_t block) const { return blocks * (kCodes + kFloats) + block * kFloats; }
  int64_t blocks, bytes;  // of a tile
};
static_assert(TilePlace::kCodes + 2 * TilePlace::kFloats <= kTileTokens * sizeof(ActivationBlock));

// What the AVX-512 rows prepare, a few blocks at a time, taken apart.
void prepare_among(const float* x, int64_t cols, std::byte* prepared, int64_t token, int64_t tokens) {
  using Shared = SharedPreparation<kLinearAvx512>;
  if (tokens < kLeastTokens) {
    return Shared::prepare(x, cols, prepared + token * static_cast<int64_t>(Shared::prepared_bytes(cols)));
  }
  constexpr int64_t kBlocks = 16;
  const TilePlace place(cols);
  std::byte* tile = prepared + token / kTileTokens * place.bytes;
  const int64_t row = token % kTileTokens;
  for (int64_t block = 0; block < place.blocks; block += kBlocks) {
    alignas(64) ActivationBlock blocks[kBlocks];
    const int64_t left = cols - block * kBlock;
    Shared::prepare(x + block * kBlock, smaller(left, kBlocks * kBlock), reinterpret_cast<std::byte*>(blocks));
    for (int64_t b = 0; b < smaller(kBlocks, place.blocks - block); ++b) {
      const ActivationBlock& from = blocks[b];
      __builtin_memcpy(tile + place.codes(block + b) + row * kBlock, from.q, kBlock);
      __builtin_memcpy(tile + place.scales(block + b) + row * 4, &from.scale, 4);
      __builtin_memcpy(tile + place.scaled_sums(block + b) + row * 4, &from.scaled_sum, 4);
    }
  }
}

// ---- products

// Tile registers: two of each, so that neighbouring blocks do not wait for each other. The last tokens of a job have
// tiles of 16 rows too: what lies in the room behind them is multiplied and not looked at.
constexpr int kC = 0, kA = 2, kB = 4;

TileShapes shapes() {
  TileShapes shapes;
  for (int i = 0; i < 2; ++i) {
    shapes.set(kC + i, kTileTokens, 64);
    shapes.set(kA + i, kTileTokens, kBlock);
    shapes.set(kB + i, kBlock / 4, 64);
  }
  return shapes;
}

// One panel and one chunk of k, for the tokens of a tile.
struct TileJob {
  int64_t blocks;  // an even number
  // Of the tile, from the chunk's first block on.
  const std::byte* codes;
  const std::byte* scales;
  const std::byte* scaled_sums;
  bool first;   // chunk: sums begin at zero
  float* sums;  // [tokens, 16]
  // The next panel's units, which the panel's first tile asks for as it goes: all at once, while the panel is expanded,
  // they would hold up its loads (32 tokens of Q4_0 from memory: 1.15 times slower). Null: nothing to ask for.
  const std::byte* next;
  int64_t unit_bytes;
};

template <int kEither>
TERN_INLINE void multiply(const Expanded& w, const TileJob& job, int64_t block) {
  load_tile<kB + kEither>(w.codes[block], 64);
  load_tile<kA + kEither>(job.codes + block * TilePlace::kCodes, kBlock);
  zero_tile<kC + kEither>();
  add_products_ss<kC + kEither, kA + kEither, kB + kEither>();
}

template <int T, bool kMins>
TERN_INLINE void add_block(const Expanded& w, const TileJob& job, int64_t block, const int32_t* dots,
                           __m512 (&sums)[T]) {
  const __m512 scales = _mm512_load_ps(w.scales[block]);
  const __m512 mins = kMins ? _mm512_load_ps(w.mins[block]) : _mm512_setzero_ps();
  const auto* token_scales = reinterpret_cast<const float*>(job.scales + block * TilePlace::kFloats);
  const auto* scaled_sums = reinterpret_cast<const float*>(job.scaled_sums + block * TilePlace::kFloats);
  TERN_UNROLL
  for (int t = 0; t < T; ++t) {
    const __m512 scale = _mm512_mul_ps(scales, _mm512_set1_ps(token_scales[t]));
    sums[t] = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(_mm512_load_si512(dots + t * kPanelRows)), sums[t]);
    if constexpr (kMins) sums[t] = _mm512_fmadd_ps(mins, _mm512_set1_ps(scaled_sums[t]), sums[t]);
  }
}

TERN_INLINE void ask_for_unit(const TileJob& job, int64_t unit) {
  const std::byte* at = job.next + unit * job.unit_bytes;
  for (int64_t line = 0; line < job.unit_bytes; line += 64) _mm_prefetch(at + line, _MM_HINT_T1);
}

// The dots of a block leave their tile when it is needed again, two blocks later, so that the store does not wait for
// the product; the float steps come another two blocks later.
template <int T, bool kMins>
void tile(const Expanded& w, const TileJob& job) {
  alignas(64) int32_t dots[4][kTileTokens * kPanelRows];
  __m512 sums[T];
  TERN_UNROLL
  for (int t = 0; t < T; ++t) sums[t] = job.first ? _mm512_setzero_ps() : _mm512_load_ps(job.sums + t * kPanelRows);
  for (int64_t b = 0; b < job.blocks + 4; b += 2) {
    const bool stores = b >= 2 && b - 2 < job.blocks;
    if (stores) store_tile<kC>(dots[(b - 2) & 3], 64);
    if (job.next != nullptr && b < job.blocks) ask_for_unit(job, b / 2);
    if (b < job.blocks) multiply<0>(w, job, b);
    if (b >= 4) add_block<T, kMins>(w, job, b - 4, dots[b & 3], sums);
    if (stores) store_tile<kC + 1>(dots[(b - 1) & 3], 64);
    if (b < job.blocks) multiply<1>(w, job, b + 1);
    if (b >= 4) add_block<T, kMins>(w, job, b - 3, dots[(b + 1) & 3], sums);
  }
  TERN_UNROLL
  for (int t = 0; t < T; ++t) _mm512_store_ps(job.sums + t * kPanelRows, sums[t]);
}

using ExpandedTile = void (*)(const Expanded&, const TileJob&);
template <bool kMins>
constexpr ExpandedTile kTiles[kTileTokens] = {tile<1, kMins>,  tile<2, kMins>,  tile<3, kMins>,  tile<4, kMins>,
                                              tile<5, kMins>,  tile<6, kMins>,  tile<7, kMins>,  tile<8, kMins>,
                                              tile<9, kMins>,  tile<10, kMins>, tile<11, kMins>, tile<12, kMins>,
                                              tile<13, kMins>, tile<14, kMins>, tile<15, kMins>, tile<16, kMins>};

// All tokens of the job, many as they are, for the panels [begin, end).
template <typename F>
void run_expanded(const LinearJob& job, int64_t begin, int64_t end) {
  Expanded expanded;
  BlockSums sums;
  const Chunks<Unit<F>> chunks(job.desc);
  configure_tiles(shapes());
  const TilePlace place(job.desc.cols);
  walk_panels<1, true>(job, begin, end, chunks.count, sums, [&](const WalkStep& step) {
    const int64_t unit = chunks.first_unit(step.chunk);
    const int64_t units = chunks.first_unit(step.chunk + 1) - unit;
    const std::byte* panel = job.weights + chunks.offset(step.panel, step.chunk);
    expand<F>(panel, units, expanded);
    TileJob tile{.blocks = 2 * units,
                 .first = step.chunk == 0,
                 .next = panel + units * Unit<F>::kBytes,
                 .unit_bytes = Unit<F>::kBytes};
    for (int64_t token = step.token; token < step.token_end; token += kTileTokens) {
      const std::byte* prepared = job.prepared + token / kTileTokens * place.bytes;
      tile.codes = prepared + place.codes(2 * unit);
      tile.scales = prepared + place.scales(2 * unit);
      tile.scaled_sums = prepared + place.scaled_sums(2 * unit);
      tile.sums = step.sums(sums, step.panel, token);
      if (step.fetches() && token + kTileTokens < step.token_end) {
        prefetch_rows(tile.codes + place.bytes, 0, 1, 2 * units * TilePlace::kCodes);
        prefetch_rows(tile.scales + place.bytes, 0, 1, 2 * units * TilePlace::kFloats);
        if (Unit<F>::kMins) prefetch_rows(tile.scaled_sums + place.bytes, 0, 1, 2 * units * TilePlace::kFloats);
      }
      kTiles<Unit<F>::kMins>[smaller(kTileTokens, step.token_end - token) - 1](expanded, tile);
      tile.next = nullptr;
    }
  });
  release_tiles();
}

// ---- rows of the table

// One layout serves the type without minima and, where there is one, the type with them.
template <RowName kShared, typename Plain, typename Min = Plain>
struct Row {
  static const LinearImpl& few() { return SharedRow<kLinearAvx512, kShared>::impl(); }
  static bool supports(const LinearDesc& desc) {
    return (desc.format == Plain::kFormat || desc.format == Min::kFormat) && few().supports(desc);
  }
  static void run(const LinearJob& job, int64_t begin, int64_t end) {
    if (job.tokens < kLeastTokens) {
      LinearJob few_tokens = job;
      few_tokens.look_ahead = true;  // processors with AMX are Intel's
      return few().run(few_tokens, begin, end);
    }
    (job.desc.format == Plain::kFormat ? run_expanded<Plain> : run_expanded<Min>)(job, begin, end);
  }
  static constexpr LinearImpl make(const char* name, const char* layout) {
    return integer_row<kLinearAvx512, kShared, kLeastTokens>(name, layout, supports, run, prepare_among);
  }
};

constexpr LinearImpl kRows[] = {
    Row<"avx512_q4x32", Q4_0, Q4_1>::make("amx_q4x32", "q4x32"),
    Row<"avx512_q5x32", Q5_0, Q5_1>::make("amx_q5x32", "q5x32"),
    Row<"avx512_q8x32", Q8_0>::make("amx_q8x32", "q8x32"),
    Row<"avx512_iq4x32", IQ4_NL>::make("amx_iq4x32", "q4x32"),
    Row<"avx512_mxfp4x32", MXFP4>::make("amx_mxfp4x32", "mxfp4x32"),
    Row<"avx512_u4zx32", U4Zero>::make("amx_u4zx32", "u4zx32"),
};

}  // namespace

const LinearImplSpan kLinearAmx = {kRows, sizeof kRows / sizeof kRows[0]};

}  // namespace tern
