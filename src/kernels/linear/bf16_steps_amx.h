// How linear_bf16_amx.cpp cuts a product into steps of tiles, and the activations that lie in their order. Included by
// it only; everything is local to it. Pure; any thread, over its own tokens.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/linear/chunked_panels.h"
#include "kernels/linear/linear_impl.h"
#include "kernels/linear/panels_amx.h"

namespace tern {
namespace {

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
// A pass: what of a chunk all tokens go through before the rest. The weights of two panels (16 KiB) then stay in the
// first-level cache (48 KiB) beside the activations and sums that come by.
constexpr int64_t kPassSteps = 8;

// The chunks of a matrix as tile products see them: each of as many steps as the longest, the last ones short or empty.
// In passes of up to kPassSteps.
struct Steps {
  explicit Steps(int64_t rows, int64_t cols) : chunks({rows, cols, Format::kBF16}) {
    const int64_t most_units = (chunks.units + chunks.count - 1) / chunks.count;
    of_chunk = (most_units + kStepUnits - 1) / kStepUnits;
    passes_of_chunk = (of_chunk + kPassSteps - 1) / kPassSteps;
    passes = chunks.count * passes_of_chunk;
  }
  int64_t count() const { return chunks.count * of_chunk; }
  // The pass' first step, counted over all chunks.
  int64_t first(int64_t pass) const { return pass / passes_of_chunk * of_chunk + pass % passes_of_chunk * kPassSteps; }
  int64_t units(int64_t pass) const { return unit(pass, pass % passes_of_chunk + 1) - first_unit(pass); }
  int64_t first_unit(int64_t pass) const { return unit(pass, pass % passes_of_chunk); }
  // Where the pass of `panel` begins in the packed matrix.
  int64_t offset(int64_t panel, int64_t pass) const {
    const int64_t chunk = pass / passes_of_chunk;
    return chunks.offset(panel, chunk) + (first_unit(pass) - chunks.first_unit(chunk)) * Unit::kBytes;
  }
  Chunks<Unit> chunks;
  int64_t of_chunk, passes_of_chunk, passes;

 private:
  int64_t unit(int64_t pass, int64_t part) const {
    const int64_t chunk = pass / passes_of_chunk;
    return smaller(chunks.first_unit(chunk) + part * kPassSteps * kStepUnits, chunks.first_unit(chunk + 1));
  }
};

// ---- activations

// Tile by tile: of 16 tokens (or all, when they are fewer) 64 bytes of the first step, then of the second; so a load
// reads 16 lines in a row, and what streams by is found by the processor's prefetchers. 16 rows must not be a multiple
// of 4096 bytes: tiles of other tokens would fall into the same sets of the caches.
inline uint64_t prepared_bytes(int64_t cols) {
  const uint64_t bytes = static_cast<uint64_t>(Steps(kPanelRows, cols).count()) * kStepPrepared;
  return bytes * kTileTokens % 4096 == 0 ? bytes + 64 : bytes;
}

struct TilePlace {
  TilePlace(int64_t cols, int64_t tokens)
      : bytes(static_cast<int64_t>(prepared_bytes(cols)) * kTileTokens),
        step(smaller(tokens, kTileTokens) * kStepPrepared) {}
  int64_t offset(int64_t token, int64_t of_step) const {
    return token / kTileTokens * bytes + of_step * step + token % kTileTokens * kStepPrepared;
  }
  int64_t bytes, step;  // from a tile to the next, from a step to the next
};

// Columns [begin, end) of a row, at most 32; zero behind them.
inline void prepare_step(const float* x, int64_t begin, int64_t end, std::byte* to) {
  for (int half = 0; half < 2; ++half, begin += 16, to += 32) {
    const int64_t left = end - begin;
    const auto present = static_cast<__mmask16>(left >= 16 ? 0xffff : left <= 0 ? 0 : (1 << left) - 1);
    const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(present, x + begin));
    __builtin_memcpy(to, &rounded, 32);
  }
}

inline void prepare_among(const float* x, int64_t cols, std::byte* prepared, int64_t token, int64_t tokens) {
  const Steps steps(kPanelRows, cols);
  const TilePlace place(cols, tokens);
  for (int64_t chunk = 0; chunk < steps.chunks.count; ++chunk) {
    const int64_t end = smaller(steps.chunks.first_unit(chunk + 1) * Unit::kUnitCols, cols);
    int64_t at = steps.chunks.first_unit(chunk) * Unit::kUnitCols;
    for (int64_t step = chunk * steps.of_chunk; at < end; ++step, at += kStepUnits * Unit::kUnitCols) {
      prepare_step(x, at, end, prepared + place.offset(token, step));
    }
  }
}

inline void prepare(const float* x, int64_t cols, std::byte* prepared) { prepare_among(x, cols, prepared, 0, 1); }

}  // namespace
}  // namespace tern
