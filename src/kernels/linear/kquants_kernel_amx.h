// Linear for the formats of 256-element super-blocks, on AMX: for many tokens over the packed matrices of
// linear_kquants_avx512.cpp, whose kernels take the jobs of few, to the same bits.
//
// Under d everything of a super-block is exact in integers, in whatever order:
//   i = sum over k of (scale * (code - zero)) * a
// So the sub-scales go into the weights before the product: scale * (code - zero), at most 13 bits, is split into an
// unsigned low and a signed high byte. A panel's super-block is expanded so, once for all tokens; then 4 tile products
// of 64 k each give the low and the high sum of 16 x 16 results, and no scale is touched in between:
//   i = low + 256 * high
// Q4_K and Q5_K split the scale instead (kquants_expand_amx.h): i = low + 8 * high.
// The float steps, and the minima's integers, are those of linear_kquants_avx512.cpp. Between the tile products of 32
// tokens stand the steps of the 32 before.
//
// Limit: 8 tile products of 16 cycles for 16 x 16 x 256: half of what tiles can do, 512 multiply-adds a cycle. The
// vector ports are busy for two thirds of that time, the load ports for half of it.
//
// Included by linear_kquants_amx.cpp and linear_codebooks_amx.cpp: everything has internal linkage.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"
#include "kernels/linear/kquants_expand_amx.h"
#include "kernels/linear/kquants_panel.h"
#include "kernels/linear/linear_impl.h"
#include "kernels/linear/panels_amx.h"
#include "kernels/tiles_amx.h"

namespace tern {
namespace {

#define TERN_INLINE [[gnu::always_inline]] inline
#define TERN_UNROLL _Pragma("GCC unroll 16")

// With fewer tokens the AVX-512 kernel is faster (measured: docs/performance/2026-11-26-cpu-amx.md).
constexpr int64_t kLeastTokens = 11;
constexpr int kStep = 64;  // k of a tile product
constexpr int kSteps = 256 / kStep;

// ---- products

constexpr int64_t kGroupTokens = 2 * kTileTokens;

// Tile registers: sums [low, high][tile of tokens], activations, weights low and high.
constexpr int kC = 0, kA = 4, kB = 6;

// Rows of the tiles of a job: 16, or all its tokens.
inline int64_t tile_rows(int64_t tokens) { return smaller(tokens, kTileTokens); }

TileShapes shapes_for(int64_t tokens) {
  TileShapes shapes;
  for (int tile = kC; tile < kB; ++tile) shapes.set(tile, tile_rows(tokens), 64);
  shapes.set(kB, kStep / 4, 64);
  shapes.set(kB + 1, kStep / 4, 64);
  return shapes;
}

struct alignas(64) Dots {
  int32_t low[kGroupTokens * kRows];
  int32_t high[kGroupTokens * kRows];
};

// A group of tokens whose products are done and whose float steps are not.
struct Waiting {
  const Expanded* weights;
  const int32_t *low, *high;  // dots, [tokens, 16]
  const std::byte* prepared;  // of the first token
  int64_t stride;
  int64_t tokens;
  bool first;   // super-block: sums begin at zero
  float* sums;  // [tokens, 16]
};

// What a panel asks for while its first group is multiplied: its like in the panel after the step's, which no
// prefetcher of the processor would guess, a share at every step. All at once, while the panel is expanded, it would
// hold up its loads.
struct Next {
  const uint8_t* head = nullptr;  // null: nothing
  const uint8_t* codes = nullptr;
};

// Share `step` of kSteps.
template <class F>
TERN_INLINE void ask_for(const Next& next, int step) {
  using Panel = KPanel<F, kRows>;
  constexpr int kHead = (Panel::kHeadBytes / 64 + kSteps) / kSteps * 64, kCodes = Panel::kCodeBytes / kSteps;
  static_assert(kCodes % 64 == 0);
  if (next.head == nullptr) return;
  for (int at = step * kHead; at < smaller((step + 1) * kHead, Panel::kHeadBytes); at += 64)
    prefetch_l2(next.head + at);
  for (int at = step * kCodes; at < (step + 1) * kCodes; at += 64) prefetch_l2(next.codes + at);
}

// The sums of tokens [begin, end) of a group and one panel, as the tiles left them, through the float steps.
template <class F>
TERN_INLINE void add_super_block(const Waiting& group, int64_t begin, int64_t end) {
  const Expanded& w = *group.weights;
  constexpr int kPairs = kMinimumPairs<F>;
  __m512i minima[kPairs + 1];
  TERN_UNROLL
  for (int p = 0; p < kPairs; ++p) minima[p] = w.minima[p];
#pragma GCC unroll 2
  for (int64_t t = begin; t < end; ++t) {
    const auto& a = *reinterpret_cast<const KActivation*>(group.prepared + t * group.stride);
    const __m512i high = _mm512_slli_epi32(_mm512_load_si512(group.high + t * kRows), kHighShift<F>);
    const __m512i sum = _mm512_add_epi32(high, _mm512_load_si512(group.low + t * kRows));
    __m512 f = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), w.d);
    if constexpr (F::kMinimum) {
      const int16_t* sums = F::kSubBlock == 32 ? a.sum32 : a.sum16;
      __m512i m = _mm512_setzero_si512();
      TERN_UNROLL
      for (int p = 0; p < kPairs; ++p) {
        const auto* pair = reinterpret_cast<const uint8_t*>(sums + 2 * p);
        m = _mm512_dpwssd_epi32(m, minima[p], _mm512_set1_epi32(static_cast<int32_t>(load_u32(pair))));
      }
      f = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(m), w.dmin, f);
    }
    const __m512 y = group.first ? _mm512_setzero_ps() : _mm512_load_ps(group.sums + t * kRows);
    _mm512_store_ps(group.sums + t * kRows, _mm512_fmadd_ps(f, _mm512_set1_ps(a.scale), y));
  }
}

// Two products: the activations of 16 tokens times the low and the high bytes.
template <class F, int kTile>
TERN_INLINE void multiply_step(const std::byte* prepared, int64_t stride) {
  load_tile<kA + kTile>(prepared, stride);
  add_products_su<kC + kTile, kA + kTile, kB>();
  if constexpr (kSplitScale<F>) {
    add_products_su<kC + 2 + kTile, kA + kTile, kB + 1>();
  } else {
    add_products_ss<kC + 2 + kTile, kA + kTile, kB + 1>();
  }
}

// The products of a group into `dots`, the second tile's rows from `second` on, and after every two of them float steps
// of the group before: the reorder buffer (512 instructions) is too small to find the one behind the other. Finer and
// coarser shares are slower.
template <class F, int kTiles>
TERN_INLINE void multiply_tiles(const Expanded& w, const std::byte* prepared, int64_t stride, int64_t second,
                                Dots& dots, const Waiting& before, const Next& next) {
  zero_tile<kC>();
  if constexpr (kTiles == 2) zero_tile<kC + 1>();
  zero_tile<kC + 2>();
  if constexpr (kTiles == 2) zero_tile<kC + 3>();
  const int64_t shares = kTiles * kSteps;
#pragma GCC unroll 1
  for (int step = 0; step < kSteps; ++step, prepared += kStep) {
    const int64_t share = kTiles * step;
    ask_for<F>(next, step);
    load_tile<kB>(w.low + step * kStep * kRows, 64);
    load_tile<kB + 1>(w.high + step * kStep * kRows, 64);
    multiply_step<F, 0>(prepared, stride);
    add_super_block<F>(before, before.tokens * share / shares, before.tokens * (share + 1) / shares);
    if constexpr (kTiles == 2) {
      multiply_step<F, 1>(prepared + second * stride, stride);
      add_super_block<F>(before, before.tokens * (share + 1) / shares, before.tokens * (share + 2) / shares);
    }
  }
  store_tile<kC>(dots.low, 64);
  if constexpr (kTiles == 2) store_tile<kC + 1>(dots.low + second * kRows, 64);
  store_tile<kC + 2>(dots.high, 64);
  if constexpr (kTiles == 2) store_tile<kC + 3>(dots.high + second * kRows, 64);
}

template <class F>
void multiply(const Expanded& w, const std::byte* prepared, int64_t stride, int64_t tokens, Dots& dots,
              const Waiting& before, const Next& next) {
  if (tokens > kTileTokens) return multiply_tiles<F, 2>(w, prepared, stride, tokens - kTileTokens, dots, before, next);
  multiply_tiles<F, 1>(w, prepared, stride, 0, dots, before, next);
}

// A panel's super-block; where the one lies that it is to ask for.
template <class F>
Next expand_panel(const LinearJob& job, const WalkStep& step, int64_t panel, Expanded& to) {
  using Panel = KPanel<F, kRows>;
  const int64_t panel_bytes = static_cast<int64_t>(Panel::panel_bytes(job.desc.cols));
  const auto* head = reinterpret_cast<const uint8_t*>(job.weights) + panel * panel_bytes;
  const uint8_t* codes = head + Panel::heads_bytes(job.desc.cols) + step.chunk * Panel::kCodeBytes;
  head += step.chunk * Panel::kHeadBytes;
  expand<F>(head, codes, to);
  const int64_t next = (step.panel_end - step.panel) * panel_bytes;
  return {head + next, codes + next};
}

// Panels a step. The activations of a group are in the first-level cache when the second panel comes to them; with few
// groups that is worth less than what the second panel's weights hold up (64 tokens: 1.1 times slower).
constexpr int kPanels = 2;
constexpr int64_t kOnePanelTokens = 64;

// One super-block of one or two panels, for all tokens of the step.
template <class F>
void run_super_block(const LinearJob& job, const WalkStep& step, BlockSums& sums) {
  Expanded expanded[kPanels];
  Next next[kPanels];
  for (int64_t p = step.panel; p < step.panel_end; ++p) {
    next[p - step.panel] = expand_panel<F>(job, step, p, expanded[p - step.panel]);
  }
  Dots dots[2];
  int which = 0;
  Waiting before{.weights = expanded, .stride = job.prepared_stride, .tokens = 0, .first = step.chunk == 0};
  const auto prepared_of = [&](int64_t token) {
    return job.prepared + token * job.prepared_stride + step.chunk * static_cast<int64_t>(sizeof(KActivation));
  };
  for (int64_t token = step.token; token < step.token_end; token += kGroupTokens) {
    const int64_t tokens = smaller(kGroupTokens, step.token_end - token);
    if (step.fetches()) {
      const int64_t after = token + tokens;
      prefetch_rows(prepared_of(after), job.prepared_stride, smaller(kGroupTokens, step.token_end - after),
                    sizeof(KActivation));
    }
    // A tile that the last tokens do not fill takes tokens before them once more: the same sums again, and neither
    // another configuration nor a copy.
    const int64_t again = tokens < kTileTokens ? tile_rows(job.tokens) - tokens : 0;
    for (int64_t panel = step.panel; panel < step.panel_end; ++panel, which = 1 - which) {
      const Expanded& w = expanded[panel - step.panel];
      multiply<F>(w, prepared_of(token - again), job.prepared_stride, tokens, dots[which], before,
                  token == step.token ? next[panel - step.panel] : Next{});
      before.weights = &w;
      before.low = dots[which].low + again * kRows;
      before.high = dots[which].high + again * kRows;
      before.prepared = prepared_of(token);
      before.tokens = tokens;
      before.sums = step.sums(sums, panel, token);
    }
  }
  add_super_block<F>(before, 0, before.tokens);
}

template <class F>
void run_expanded(const LinearJob& job, int64_t begin, int64_t end) {
  BlockSums sums;
  configure_tiles(shapes_for(job.tokens));
  const auto visit = [&](const WalkStep& step) { run_super_block<F>(job, step, sums); };
  const int64_t chunks = job.desc.cols / 256;
  if (job.tokens <= kOnePanelTokens) {
    walk_panels<1, false>(job, begin, end, chunks, sums, visit);
  } else {
    walk_panels<kPanels, false>(job, begin, end, chunks, sums, visit);
  }
  release_tiles();
}

// ---- rows of the table

// kFew: the AVX-512 rows that have one of this name; Layout as theirs.
template <class F, const LinearImplSpan& kFew, RowName kShared, class Layout = F>
struct Row {
  static const LinearImpl& few() { return SharedRow<kFew, kShared>::impl(); }
  static bool supports(const LinearDesc& desc) { return desc.format == F::kFormat && few().supports(desc); }
  static void run(const LinearJob& job, int64_t begin, int64_t end) {
    if (job.tokens < kLeastTokens) return few().run(job, begin, end);
    run_expanded<Layout>(job, begin, end);
  }
  static constexpr LinearImpl make(const char* name, const char* layout) {
    return integer_row<kFew, kShared, kLeastTokens>(name, layout, supports, run);
  }
};

#undef TERN_INLINE
#undef TERN_UNROLL

}  // namespace
}  // namespace tern
