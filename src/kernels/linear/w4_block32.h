// The packed layout of Q4_0 weights on the GPU: the codes of w4_tiles.h with a scale for 32 columns of a row, lossless.
//
// Block (tile of 16 rows, group of 128 columns) starts at (tile * groups + group) * 1152: 1024 bytes of codes as
// w4_tiles.h says, then for each 32 columns the f16 scales of the 16 rows, that of row r as number 2 (r % 8) + r / 8.
#pragma once

#include "kernels/linear/w4_tiles.h"

namespace tern::w4 {

constexpr int64_t kSteps = kGroupCols / 32;
constexpr int64_t kBlock32Bytes = kCodeBytes + kSteps * kScaleBytes;

constexpr int64_t block32_bytes(int64_t rows, int64_t cols) { return tiles(rows) * groups(cols) * kBlock32Bytes; }

// Rows of Q4_0 blocks [rows, cols / 32] as in a file; fills block32_bytes(rows, cols). What is behind the last row or
// column becomes zero.
void pack_q4_0(const std::byte* blocks, int64_t rows, int64_t cols, std::byte* packed);

}  // namespace tern::w4
