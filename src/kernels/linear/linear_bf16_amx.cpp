// Linear for BF16 weights on AMX, over the packed matrix of linear_float_avx512.cpp (bf16x16), with activations rounded
// to bf16. A tile product sums in another order than vdpbf16ps, so every job goes through tiles here: one token is a
// tile of one row.
//
// Sums: over a chunk of k, 32 columns a tile product; the last one of a chunk may be short and is filled up with zeros.
// Between chunks they wait in memory, from where they are loaded back into the tiles, so that what is added to what
// depends on cols alone. Up to 2 panels x 32 tokens at a time: 4 products for 4 loads, which is what keeps the tiles
// busy (16 cycles a product, 8 a load of 16 lines).
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"
#include "kernels/linear/chunked_panels.h"
#include "kernels/linear/linear_impl.h"
#include "kernels/linear/panels_amx.h"
#include "kernels/tiles_amx.h"

namespace tern {
namespace {

#define TERN_INLINE [[gnu::always_inline]] inline
#define TERN_UNROLL _Pragma("GCC unroll 16")

// The layout of linear_float_avx512.cpp: units of 4 columns, [2 pairs][16 rows][2 columns].
struct Unit {
  static constexpr int kUnitCols = 4;
  static constexpr int64_t kBytes = 4 * kPanelRows * 2;
  static constexpr int64_t kPrepared = 4 * 2;
};
constexpr int64_t kStepUnits = 8;  // a tile product: 32 columns
constexpr int64_t kStepBytes = kStepUnits * Unit::kBytes;
constexpr int64_t kStepPrepared = kStepUnits * Unit::kPrepared;
constexpr int64_t kGroupTokens = 2 * kTileTokens;
// Of a chunk, passed by all tokens before the rest: the weights of two panels then stay in the first-level cache (48
// KiB) beside the activations that come by.
constexpr int64_t kPassUnits = 8 * kStepUnits;
constexpr int64_t kAhead = 2;  // steps between asking for activations and using them

// ---- activations

// Rows a multiple of 4096 bytes apart would all fall into one set of the first-level cache.
uint64_t prepared_bytes(int64_t cols) {
  const uint64_t bytes = (static_cast<uint64_t>(cols) * 2 + 63) / 64 * 64;
  return bytes % 4096 == 0 ? bytes + 64 : bytes;
}

// The columns after the last one are zero up to a multiple of 32.
void prepare(const float* x, int64_t cols, std::byte* prepared) {
  const int64_t padded = (cols + 31) / 32 * 32;
  for (int64_t k = 0; k < padded; k += 16, prepared += 32) {
    const int64_t left = cols - k;
    const auto present = static_cast<__mmask16>(left >= 16 ? 0xffff : left <= 0 ? 0 : (1 << left) - 1);
    const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(present, x + k));
    __builtin_memcpy(prepared, &rounded, 32);
  }
}

// ---- products

// Tile registers: sums [panel][tile of tokens], activations, weights.
constexpr int kC = 0, kA = 4, kB = 6;

TileShapes shapes_for(int64_t tokens) {
  TileShapes shapes;
  for (int i = 0; i < 2; ++i) {
    const int64_t rows = i == 0 ? smaller(tokens, kTileTokens) : tokens - kTileTokens;
    if (rows <= 0) continue;
    shapes.set(kC + i, rows, 64);
    shapes.set(kC + 2 + i, rows, 64);
    shapes.set(kA + i, rows, 64);
  }
  shapes.set(kB, kTileTokens, 64);
  shapes.set(kB + 1, kTileTokens, 64);
  return shapes;
}

// The end of a chunk that is no whole step, filled up.
struct alignas(64) Tail {
  std::byte weights[2][kStepBytes];
  std::byte prepared[kGroupTokens][kStepPrepared];
};

// One chunk of k of one or two panels, times the tokens of one or two tiles.
struct Group {
  const std::byte* weights[2];
  const std::byte* prepared;
  int64_t prepared_stride;
  int64_t tokens;
  int64_t units;
  bool first, last;  // chunk: sums begin at zero; they go to `out`, with the bias
  float* sums[2];    // [tokens, 16]
  float* out;        // [tokens, out_stride], 16 columns a panel
  int64_t out_stride;
  __mmask16 rows[2];
  const float* bias[2];  // [rows] or null
  int64_t ahead;         // bytes from a panel's chunk to the one that is asked of memory meanwhile; 0: none is
  int64_t tokens_next;   // of the next group
};

// All loads before the first product, so that they do not wait behind one.
template <int kPanels, int kTiles>
TERN_INLINE void step(const std::byte* w0, const std::byte* w1, const std::byte* a, int64_t stride) {
  load_tile<kA>(a, stride);
  if constexpr (kTiles == 2) load_tile<kA + 1>(a + kTileTokens * stride, stride);
  load_tile<kB>(w0, 64);
  if constexpr (kPanels == 2) load_tile<kB + 1>(w1, 64);
  add_products_bf16<kC, kA, kB>();
  if constexpr (kTiles == 2) add_products_bf16<kC + 1, kA + 1, kB>();
  if constexpr (kPanels == 2) add_products_bf16<kC + 2, kA, kB + 1>();
  if constexpr (kPanels == 2 && kTiles == 2) add_products_bf16<kC + 3, kA + 1, kB + 1>();
}

constexpr int kSecondTile = kTileTokens * kPanelRows;  // its sums, after the first tile's

template <int kPanels, int kTiles>
TERN_INLINE void load_sums(const Group& g) {
  load_tile<kC>(g.sums[0], 64);
  if constexpr (kTiles == 2) load_tile<kC + 1>(g.sums[0] + kSecondTile, 64);
  if constexpr (kPanels == 2) load_tile<kC + 2>(g.sums[1], 64);
  if constexpr (kPanels == 2 && kTiles == 2) load_tile<kC + 3>(g.sums[1] + kSecondTile, 64);
}

template <int kPanels, int kTiles>
TERN_INLINE void store_sums(const Group& g) {
  store_tile<kC>(g.sums[0], 64);
  if constexpr (kTiles == 2) store_tile<kC + 1>(g.sums[0] + kSecondTile, 64);
  if constexpr (kPanels == 2) store_tile<kC + 2>(g.sums[1], 64);
  if constexpr (kPanels == 2 && kTiles == 2) store_tile<kC + 3>(g.sums[1] + kSecondTile, 64);
}

template <int kPanels>
TERN_INLINE void fill_tail(const Group& g, int64_t steps, Tail& tail) {
  const int64_t left = g.units - steps * kStepUnits;
  for (int p = 0; p < kPanels; ++p) {
    __builtin_memset(tail.weights[p], 0, kStepBytes);
    __builtin_memcpy(tail.weights[p], g.weights[p] + steps * kStepBytes, static_cast<size_t>(left * Unit::kBytes));
  }
  const auto present = static_cast<__mmask8>((1 << left) - 1);  // a unit is 8 bytes of activations
  for (int64_t t = 0; t < g.tokens; ++t) {
    const std::byte* from = g.prepared + t * g.prepared_stride + steps * kStepPrepared;
    _mm512_store_si512(tail.prepared[t], _mm512_maskz_loadu_epi64(present, from));
  }
}

// The finished sums into `out`, and the bias onto them.
template <int kPanels>
TERN_INLINE void deliver_sums(const Group& g) {
  for (int p = 0; p < kPanels; ++p) {
    const bool biased = g.bias[p] != nullptr;
    const __m512 bias = biased ? _mm512_maskz_loadu_ps(g.rows[p], g.bias[p]) : _mm512_setzero_ps();
    for (int64_t t = 0; t < g.tokens; ++t) {
      const __m512 sum = _mm512_load_ps(g.sums[p] + t * kPanelRows);
      float* out = g.out + t * g.out_stride + p * kPanelRows;
      _mm512_mask_storeu_ps(out, g.rows[p], biased ? _mm512_add_ps(sum, bias) : sum);
    }
  }
}

template <int kPanels, int kTiles>
void run_group(const Group& g) {
  if (g.first) {
    zero_tile<kC>();
    if constexpr (kTiles == 2) zero_tile<kC + 1>();
    if constexpr (kPanels == 2) zero_tile<kC + 2>();
    if constexpr (kPanels == 2 && kTiles == 2) zero_tile<kC + 3>();
  } else {
    load_sums<kPanels, kTiles>(g);
  }
  const int64_t steps = g.units / kStepUnits;
  for (int64_t s = 0; s < steps; ++s) {
    const std::byte* w0 = g.weights[0] + s * kStepBytes;
    const std::byte* w1 = g.weights[1] + s * kStepBytes;
    if (g.ahead != 0) {
      TERN_UNROLL
      for (int64_t line = 0; line < kStepBytes; line += 64) {
        _mm_prefetch(w0 + g.ahead + line, _MM_HINT_T1);
        if constexpr (kPanels == 2) _mm_prefetch(w1 + g.ahead + line, _MM_HINT_T1);
      }
    }
    const std::byte* a = g.prepared + s * kStepPrepared;
    if (s + kAhead < steps) {
      prefetch_rows<3>(a + kAhead * kStepPrepared, g.prepared_stride, g.tokens, kStepPrepared);
    } else if (g.tokens_next > 0) {
      const std::byte* next = g.prepared + kGroupTokens * g.prepared_stride + (s + kAhead - steps) * kStepPrepared;
      prefetch_rows<3>(next, g.prepared_stride, g.tokens_next, kStepPrepared);
    }
    step<kPanels, kTiles>(w0, w1, a, g.prepared_stride);
  }
  if (steps * kStepUnits < g.units) {
    Tail tail;
    fill_tail<kPanels>(g, steps, tail);
    step<kPanels, kTiles>(tail.weights[0], tail.weights[1], tail.prepared[0], kStepPrepared);
  }
  store_sums<kPanels, kTiles>(g);
  if (g.last) deliver_sums<kPanels>(g);
}

void run_any_group(const Group& g, int64_t panels) {
  if (panels == 2) return (g.tokens > kTileTokens ? run_group<2, 2> : run_group<2, 1>)(g);
  return (g.tokens > kTileTokens ? run_group<1, 2> : run_group<1, 1>)(g);
}

// The part [unit, unit + units) of a chunk, whose weights are asked for a step of the walk ahead. What depends on
// tokens is left open.
Group group_of(const LinearJob& job, const Chunks<Unit>& chunks, const WalkStep& at, int64_t unit, int64_t units) {
  const int64_t chunk_units = chunks.first_unit(at.chunk + 1) - chunks.first_unit(at.chunk);
  Group group{.prepared_stride = job.prepared_stride,
              .units = units,
              .first = at.chunk == 0 && unit == 0,
              .last = at.chunk + 1 == chunks.count && unit + units == chunk_units,
              .out_stride = job.out_stride,
              .ahead = (at.panel_end - at.panel) * chunk_units * Unit::kBytes};
  for (int64_t p = 0; p < 2; ++p) {  // without a second panel the first stands in
    const int64_t panel = smaller(at.panel + p, at.panel_end - 1);
    group.weights[p] = job.weights + chunks.offset(panel, at.chunk) + unit * Unit::kBytes;
    group.rows[p] = rows_of(job.desc, panel);
    group.bias[p] = job.bias == nullptr ? nullptr : job.bias + panel * kPanelRows;
  }
  return group;
}

void run(const LinearJob& job, int64_t begin, int64_t end) {
  const Chunks<Unit> chunks(job.desc);
  BlockSums sums;
  int64_t configured = 0;
  walk_panels<2>(job.tokens, begin, end, chunks.count, [&](const WalkStep& at) {
    const int64_t first_unit = chunks.first_unit(at.chunk);
    const int64_t units = chunks.first_unit(at.chunk + 1) - first_unit;
    for (int64_t unit = 0; unit < units; unit += kPassUnits) {
      Group group = group_of(job, chunks, at, unit, smaller(kPassUnits, units - unit));
      for (int64_t token = at.token; token < at.token_end; token += kGroupTokens) {
        group.tokens = smaller(kGroupTokens, at.token_end - token);
        group.prepared = job.prepared + token * job.prepared_stride + (first_unit + unit) * Unit::kPrepared;
        for (int64_t p = 0; p < 2; ++p) group.sums[p] = at.sums(sums, smaller(at.panel + p, at.panel_end - 1), token);
        group.out = job.out + token * job.out_stride + at.panel * kPanelRows;
        group.tokens_next = smaller(kGroupTokens, at.token_end - token - kGroupTokens);
        if (token > at.token) group.ahead = 0;
        if (group.tokens != configured) configure_tiles(shapes_for(configured = group.tokens));
        run_any_group(group, at.panel_end - at.panel);
      }
    }
  });
  release_tiles();
}

bool supports(const LinearDesc& desc) { return desc.format == Format::kBF16 && desc.cols > 0; }

using Packed = SharedRow<kLinearAvx512Float, "avx512_bf16dot">;

constexpr LinearImpl kRows[] = {{.name = "amx_bf16dot",
                                 .layout = "bf16x16",
                                 .needs = kIsaAvx2 | kIsaAvx512 | kIsaAvx512Bf16 | kIsaAmxBf16,
                                 .panel_rows = kPanelRows,
                                 .supports = supports,
                                 .packed_bytes = Packed::packed_bytes,
                                 .pack = Packed::pack,
                                 .prepared_bytes = prepared_bytes,
                                 .prepare = prepare,
                                 .run = run,
                                 .read_row = Packed::read_row,
                                 .cost = Packed::cost<Arithmetic::kBf16Tile, 1>}};

}  // namespace

const LinearImplSpan kLinearAmxBf16 = {kRows, 1};

}  // namespace tern
