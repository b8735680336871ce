// The two tile products of attention, 32 rows by 64 keys: scores and values. Included by attention_amx.cpp only.
#pragma once

#include "kernels/attention/attention_pack_amx.h"
#include "kernels/tiles_amx.h"

namespace tern {
namespace {

#define TERN_INLINE [[gnu::always_inline]] inline

constexpr int64_t kTileRows = 16;
constexpr int64_t kGroupRows = 2 * kTileRows;
constexpr int64_t kScores = kSubs * 256, kWeights = kTileSteps * 256;  // of a tile of rows

// What lies between the products, as RowTile (attention_weights_amx.h) has it.
struct GroupScratch {
  float* scores;      // [2 tiles of rows, kScores]
  uint32_t* weights;  // [2 tiles of rows, kWeights]
};

// Tile registers: sums [tile of rows][tile of columns], rows, columns. Four products for four loads: 64 cycles
// beside 32.
constexpr int kC = 0, kA = 4, kB = 6;

TileShapes shapes_for(int64_t rows) {
  TileShapes shapes;
  for (int i = 0; i < 2; ++i) {
    const int64_t count = lesser(rows - i * kTileRows, kTileRows);
    if (count <= 0) continue;
    shapes.set(kC + 2 * i, count, 64);
    shapes.set(kC + 2 * i + 1, count, 64);
    shapes.set(kA + i, count, 64);
  }
  shapes.set(kB, kTileRows, 64);
  shapes.set(kB + 1, kTileRows, 64);
  return shapes;
}

template <int kTiles, int kCols>
TERN_INLINE void zero_sums() {
  zero_tile<kC>();
  if constexpr (kCols == 2) zero_tile<kC + 1>();
  if constexpr (kTiles == 2) zero_tile<kC + 2>();
  if constexpr (kTiles == 2 && kCols == 2) zero_tile<kC + 3>();
}

// c0 and c1: of the two tiles of rows; the second column lies `next` floats behind the first.
template <int kTiles, int kCols>
TERN_INLINE void load_sums(const float* c0, const float* c1, int64_t next, int64_t stride) {
  load_tile<kC>(c0, stride);
  if constexpr (kCols == 2) load_tile<kC + 1>(c0 + next, stride);
  if constexpr (kTiles == 2) load_tile<kC + 2>(c1, stride);
  if constexpr (kTiles == 2 && kCols == 2) load_tile<kC + 3>(c1 + next, stride);
}
template <int kTiles, int kCols>
TERN_INLINE void store_sums(float* c0, float* c1, int64_t next, int64_t stride) {
  store_tile<kC>(c0, stride);
  if constexpr (kCols == 2) store_tile<kC + 1>(c0 + next, stride);
  if constexpr (kTiles == 2) store_tile<kC + 2>(c1, stride);
  if constexpr (kTiles == 2 && kCols == 2) store_tile<kC + 3>(c1 + next, stride);
}

// Rows at a0 and a1, columns at b0 and b1.
template <int kTiles, int kCols>
TERN_INLINE void add_step(const void* a0, const void* a1, int64_t stride, const void* b0, const void* b1) {
  load_tile<kA>(a0, stride);
  load_tile<kB>(b0, 64);
  if constexpr (kCols == 2) load_tile<kB + 1>(b1, 64);
  if constexpr (kTiles == 2) load_tile<kA + 1>(a1, stride);
  add_products_bf16<kC, kA, kB>();
  if constexpr (kCols == 2) add_products_bf16<kC + 1, kA, kB + 1>();
  if constexpr (kTiles == 2) add_products_bf16<kC + 2, kA + 1, kB>();
  if constexpr (kTiles == 2 && kCols == 2) add_products_bf16<kC + 3, kA + 1, kB + 1>();
}

template <int kTiles>
void tile_scores(const GroupScratch& s, const PackedTile& packed, const uint32_t* q, int64_t dim) {
  const int64_t padded = padded_dim(dim), depth = padded / kTileDims;
  const uint32_t* q1 = q + kTileRows * padded / 2;
  for (int64_t i = 0; i < kTileSteps; ++i) {
    zero_sums<kTiles, 2>();
    const uint32_t* b0 = packed.keys + 2 * i * depth * kTilePairs;
    const uint32_t* b1 = b0 + depth * kTilePairs;
    for (int64_t k = 0; k < depth; ++k) {
      add_step<kTiles, 2>(q + k * (kTileDims / 2), q1 + k * (kTileDims / 2), padded * 2, b0 + k * kTilePairs,
                          b1 + k * kTilePairs);
    }
    float* to = s.scores + 2 * i * 256;
    store_sums<kTiles, 2>(to, to + kScores, 256, 64);
  }
}

template <int kTiles, int kCols>
TERN_INLINE void add_value_columns(const GroupScratch& s, const PackedTile& packed, int64_t dim, int64_t d, bool resume,
                                   float* out) {
  float *c0 = out + d, *c1 = c0 + kTileRows * dim;
  if (resume) {
    load_sums<kTiles, kCols>(c0, c1, 16, dim * 4);
  } else {
    zero_sums<kTiles, kCols>();
  }
  for (int64_t i = 0; i < kTileSteps; ++i) {
    const uint32_t* a = s.weights + i * 256;
    const uint32_t* b = packed.values + (i * (dim / 16) + d / 16) * kTilePairs;
    add_step<kTiles, kCols>(a, a + kWeights, 64, b, b + kTilePairs);
  }
  store_sums<kTiles, kCols>(c0, c1, 16, dim * 4);
}

template <int kTiles>
void add_values(const GroupScratch& s, const PackedTile& packed, int64_t dim, bool resume, float* out) {
  int64_t d = 0;
  for (; d + 32 <= dim; d += 32) add_value_columns<kTiles, 2>(s, packed, dim, d, resume, out);
  if (d < dim) add_value_columns<kTiles, 1>(s, packed, dim, d, resume, out);
}

#undef TERN_INLINE

}  // namespace
}  // namespace tern
