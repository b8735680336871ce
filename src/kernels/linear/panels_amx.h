// What the AMX kernels share: the walk over a matrix in panels of 16 rows, and the rows of the table, which take from
// the AVX-512 row of the same packed layout everything but `run`. Included by *_amx.cpp only; everything is local to
// the including file. Pure; any thread, over its own panels.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"
#include "kernels/linear/linear_impl.h"

namespace tern {
namespace {

constexpr int kTileTokens = 16;
// Tokens and panels of a block of the walk. In the second-level cache (2 MiB where there is AMX) lie the activations of
// a chunk of k, at most 1.2 KiB a token, and the block's sums between chunks.
constexpr int64_t kBlockTokens = 512;
constexpr int64_t kBlockPanels = 32;

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// The sums of a block, until all chunks have passed (1 MiB). Not in `out`: rows of 2^n floats would fall into a few
// sets of the caches, and stores that miss hold up the tiles' stores behind them (measured: bf16 at a quarter of the
// speed, 512 tokens of 4096).
struct alignas(64) BlockSums {
  float values[kBlockPanels * kBlockTokens * 16];
};

// A step of the walk: panels [panel, panel_end) and one chunk of k for the tokens [token, token_end).
struct WalkStep {
  int64_t panel, panel_end, chunk, token, token_end;
  int64_t block_panel, block_end;  // the block's panels
  int64_t next_panel, next_chunk;  // the step that follows with the same tokens; itself when none does
  // The first panels of a block to come by a chunk: its activations are not in the second-level cache yet.
  bool fetches() const { return panel == block_panel; }
  // 16 sums a token, 64 bytes apart.
  float* sums(BlockSums& block, int64_t of_panel, int64_t of_token) const {
    return block.values + ((of_panel - block_panel) * (token_end - token) + of_token - token) * 16;
  }
};

// A bit for each row of the panel that exists.
inline __mmask16 rows_of(const LinearDesc& desc, int64_t panel) {
  const int64_t left = desc.rows - panel * 16;
  return static_cast<__mmask16>(left >= 16 ? 0xffff : (1 << left) - 1);
}

// A block's sums, with the bias, into `out`: of a token all panels, neighbouring lines of one page. kAddsNothing:
// without a bias zero is added, as the AVX-512 kernel of the same bits does (-0 becomes 0).
template <bool kAddsNothing>
inline void deliver_block(const LinearJob& job, const BlockSums& sums, int64_t panel, int64_t panel_end, int64_t token,
                          int64_t token_end) {
  const int64_t tokens = token_end - token;
  for (int64_t t = 0; t < tokens; ++t) {
    float* out = job.out + (token + t) * job.out_stride;
    for (int64_t p = panel; p < panel_end; ++p) {
      const __mmask16 rows = rows_of(job.desc, p);
      __m512 sum = _mm512_load_ps(sums.values + ((p - panel) * tokens + t) * 16);
      if (job.bias != nullptr) {
        sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(rows, job.bias + p * 16));
      } else if (kAddsNothing) {
        sum = _mm512_add_ps(sum, _mm512_setzero_ps());
      }
      _mm512_mask_storeu_ps(out + p * 16, rows, sum);
    }
  }
}

// Blocks of tokens and panels, in a block the chunks of k, in a chunk kStep panels at a time; then the block's sums are
// delivered.
template <int kStep, bool kAddsNothing, typename Visit>
[[gnu::always_inline]] inline void walk_panels(const LinearJob& job, int64_t begin, int64_t end, int64_t chunks,
                                               const BlockSums& sums, Visit visit) {
  const int64_t tokens = job.tokens;
  for (int64_t token = 0; token < tokens; token += kBlockTokens) {
    const int64_t token_end = smaller(token + kBlockTokens, tokens);
    for (int64_t block = begin; block < end; block += kBlockPanels) {
      const int64_t block_end = smaller(block + kBlockPanels, end);
      for (int64_t chunk = 0; chunk < chunks; ++chunk) {
        for (int64_t panel = block; panel < block_end; panel += kStep) {
          WalkStep step{panel, smaller(panel + kStep, block_end), chunk, token, token_end, block, block_end};
          const bool block_ends = panel + kStep >= block_end, panels_end = block_ends && chunk + 1 == chunks;
          step.next_panel = !block_ends ? panel + kStep : !panels_end ? block : block_end < end ? block_end : panel;
          step.next_chunk = !block_ends ? chunk : !panels_end ? chunk + 1 : block_end < end ? 0 : chunk;
          visit(step);
        }
      }
      deliver_block<kAddsNothing>(job, sums, block, block_end, token, token_end);
    }
  }
}

// Asks for `bytes` of each of `tokens` prepared rows, into the second-level cache, or into the first (kLocality 3).
template <int kLocality = 2>
inline void prefetch_rows(const std::byte* prepared, int64_t stride, int64_t tokens, int64_t bytes) {
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t at = 0; at < bytes; at += 64) __builtin_prefetch(prepared + t * stride + at, 0, kLocality);
  }
}

// A row's name, as a template's argument.
struct RowName {
  template <size_t kLength>
  consteval RowName(const char (&name)[kLength]) {  // NOLINT: a name is written as a string
    static_assert(kLength <= sizeof text);
    for (size_t i = 0; i < kLength; ++i) text[i] = name[i];
  }
  bool is(const char* other) const { return __builtin_strcmp(text, other) == 0; }
  char text[24] = {};
};

// The row of an AVX-512 table that is called kName. (Its functions are unknown while this file is compiled.)
template <const LinearImplSpan& kSpan, RowName kName>
struct SharedRow {
  static const LinearImpl& impl() {
    for (int i = 0; i < kSpan.count; ++i) {
      if (kName.is(kSpan.rows[i].name)) return kSpan.rows[i];
    }
    __builtin_trap();  // the two tables disagree; every test of the family would end here
  }
  static uint64_t packed_bytes(const LinearDesc& desc) { return impl().packed_bytes(desc); }
  static void pack(const LinearDesc& desc, const std::byte* source, std::byte* packed, int64_t begin, int64_t end) {
    impl().pack(desc, source, packed, begin, end);
  }
  static void read_row(const LinearDesc& desc, const std::byte* weights, int64_t row, float* out) {
    impl().read_row(desc, weights, row, out);
  }
  // The same operands, by tiles from kLeastTokens tokens on.
  template <Arithmetic kTiles, int64_t kLeastTokens>
  static Cost cost(const LinearDesc& desc, int64_t tokens) {
    Cost cost = impl().cost(desc, tokens);
    if (tokens >= kLeastTokens) cost.arithmetic = kTiles;
    return cost;
  }
};

// The preparation of activations that all rows of an AVX-512 table share: one function, so that parts share its result.
template <const LinearImplSpan& kSpan>
struct SharedPreparation {
  static uint64_t prepared_bytes(int64_t cols) { return kSpan.rows[0].prepared_bytes(cols); }
  static void prepare(const float* x, int64_t cols, std::byte* prepared) { kSpan.rows[0].prepare(x, cols, prepared); }
};

// kLeastTokens: run() leaves fewer to the AVX-512 row.
template <const LinearImplSpan& kSpan, RowName kShared, int64_t kLeastTokens>
constexpr LinearImpl integer_row(const char* name, const char* layout, bool (*supports)(const LinearDesc&),
                                 void (*run)(const LinearJob&, int64_t, int64_t),
                                 decltype(LinearImpl::prepare_among) prepare_among = nullptr) {
  using Row = SharedRow<kSpan, kShared>;
  return {.name = name,
          .layout = layout,
          .needs = kIsaAvx2 | kIsaAvx512 | kIsaAvx512Vnni | kIsaAmxInt8,
          .panel_rows = 16,
          .supports = supports,
          .packed_bytes = Row::packed_bytes,
          .pack = Row::pack,
          .prepared_bytes = SharedPreparation<kSpan>::prepared_bytes,
          .prepare = SharedPreparation<kSpan>::prepare,
          .prepare_among = prepare_among,
          .run = run,
          .read_row = Row::read_row,
          .cost = Row::template cost<Arithmetic::kInt8Tile, kLeastTokens>};
}

}  // namespace
}  // namespace tern
