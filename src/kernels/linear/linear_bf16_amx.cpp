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
#include "kernels/linear/bf16_steps_amx.h"
#include "kernels/linear/chunked_panels.h"
#include "kernels/linear/linear_impl.h"
#include "kernels/linear/panels_amx.h"
#include "kernels/tiles_amx.h"

namespace tern {
namespace {

#define TERN_INLINE [[gnu::always_inline]] inline
#define TERN_UNROLL _Pragma("GCC unroll 16")

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

// The weights at the end of a chunk that is no whole step, filled up.
struct alignas(64) Tail {
  std::byte weights[2][kStepBytes];
};

// What a group asks of memory meanwhile, into the second-level cache, a little at every step: a share of the weights
// that come next, and of the activations of the pass that comes next. All at once would hold up its own loads.
struct Ahead {
  const std::byte* weights[2];
  int64_t weight_lines;  // of each panel a step
  const std::byte* prepared;
  int64_t prepared_lines;  // a step
};

// One pass of one or two panels, times the tokens of one or two tiles.
struct Group {
  const std::byte* weights[2];
  const std::byte* prepared;             // of the first tile
  int64_t prepared_tile, prepared_step;  // bytes from a tile to the next, from a step to the next
  int64_t tokens;
  int64_t units;
  bool first;      // pass: sums begin at zero
  float* sums[2];  // [tokens, 16]
  Ahead ahead;
};

// All loads before the first product, so that they do not wait behind one.
template <int kPanels, int kTiles>
TERN_INLINE void step(const std::byte* w0, const std::byte* w1, const std::byte* a, int64_t next_tile) {
  load_tile<kA>(a, kStepPrepared);
  if constexpr (kTiles == 2) load_tile<kA + 1>(a + next_tile, kStepPrepared);
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
    const Ahead& ahead = g.ahead;
    for (int64_t i = s * ahead.weight_lines; i < (s + 1) * ahead.weight_lines; ++i) {
      _mm_prefetch(ahead.weights[0] + i * 64, _MM_HINT_T1);
      if constexpr (kPanels == 2) _mm_prefetch(ahead.weights[1] + i * 64, _MM_HINT_T1);
    }
    for (int64_t i = s * ahead.prepared_lines; i < (s + 1) * ahead.prepared_lines; ++i) {
      _mm_prefetch(ahead.prepared + i * 64, _MM_HINT_T1);
    }
    step<kPanels, kTiles>(w0, w1, g.prepared + s * g.prepared_step, g.prepared_tile);
  }
  if (steps * kStepUnits < g.units) {
    Tail tail;
    fill_tail<kPanels>(g, steps, tail);
    step<kPanels, kTiles>(tail.weights[0], tail.weights[1], g.prepared + steps * g.prepared_step, g.prepared_tile);
  }
  store_sums<kPanels, kTiles>(g);
}

void run_any_group(const Group& g, int64_t panels) {
  if (panels == 2) return (g.tokens > kTileTokens ? run_group<2, 2> : run_group<2, 1>)(g);
  return (g.tokens > kTileTokens ? run_group<1, 2> : run_group<1, 1>)(g);
}

// A step of the walk, whose chunks are passes. What depends on tokens is left open.
Group group_of(const LinearJob& job, const Steps& steps, const TilePlace& place, const WalkStep& at) {
  Group group{.prepared_tile = place.bytes,
              .prepared_step = place.step,
              .units = steps.units(at.chunk),
              .first = at.chunk == 0};
  for (int64_t p = 0; p < 2; ++p) {  // without a second panel the first stands in
    const int64_t panel = smaller(at.panel + p, at.panel_end - 1);
    group.weights[p] = job.weights + steps.offset(panel, at.chunk);
  }
  return group;
}

// The share of group `index` of `count` in what the step asks for.
Ahead ahead_of(const LinearJob& job, const Steps& steps, const TilePlace& place, const WalkStep& at, int64_t index,
               int64_t count) {
  const int64_t turns = steps.units(at.chunk) / kStepUnits;
  if (turns == 0) return {};
  const int64_t weight_lines = steps.units(at.next_chunk) * Unit::kBytes / 64;
  Ahead ahead{.weight_lines = (weight_lines + count * turns - 1) / (count * turns)};
  for (int64_t p = 0; p < 2; ++p) {
    ahead.weights[p] =
        job.weights + steps.offset(at.next_panel + p, at.next_chunk) + index * ahead.weight_lines * turns * 64;
  }
  if (at.chunk + 1 < steps.passes) {
    const int64_t tile_lines = kPassSteps * place.step / 64;
    const int64_t lines = (at.token_end - at.token + kTileTokens - 1) / kTileTokens * tile_lines;
    const int64_t pairs = (at.block_end - at.block_panel + 1) / 2, shares = pairs * count;
    const int64_t share = (at.panel - at.block_panel) / 2 * count + index;
    const int64_t begin = lines * share / shares, end = lines * (share + 1) / shares;
    ahead.prepared = job.prepared + place.offset(at.token, steps.first(at.chunk + 1)) +
                     begin / tile_lines * place.bytes + begin % tile_lines * 64;
    ahead.prepared_lines = (end - begin + turns - 1) / turns;
  }
  return ahead;
}

void run(const LinearJob& job, int64_t begin, int64_t end) {
  const Steps steps(job.desc.rows, job.desc.cols);
  const TilePlace place(job.desc.cols, job.tokens);
  BlockSums sums;
  int64_t configured = 0;
  walk_panels<2, false>(job, begin, end, steps.passes, sums, [&](const WalkStep& at) {
    Group group = group_of(job, steps, place, at);
    const int64_t count = (at.token_end - at.token + kGroupTokens - 1) / kGroupTokens;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t token = at.token + i * kGroupTokens;
      group.tokens = smaller(kGroupTokens, at.token_end - token);
      group.prepared = job.prepared + place.offset(token, steps.first(at.chunk));
      for (int64_t p = 0; p < 2; ++p) group.sums[p] = at.sums(sums, smaller(at.panel + p, at.panel_end - 1), token);
      group.ahead = ahead_of(job, steps, place, at, i, count);
      if (group.tokens != configured) configure_tiles(shapes_for(configured = group.tokens));
      run_any_group(group, at.panel_end - at.panel);
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
                                 .prepare_among = prepare_among,
                                 .run = run,
                                 .read_row = Packed::read_row,
                                 .cost = Packed::cost<Arithmetic::kBf16Tile, 1>}};

}  // namespace

const LinearImplSpan kLinearAmxBf16 = {kRows, 1};

}  // namespace tern
