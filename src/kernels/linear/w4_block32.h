// The packed layouts of Q4_0, U4_ZERO and Q4_K weights on the GPU: the codes of w4_tiles.h with an f16 scale for 32
// columns of a row, and an f16 offset where the format has minima. w = (code - 8) * scale + offset. Of Q4_0 that is
// lossless, of U4_ZERO but for the offset, up to 8 scales rounded to 11 bits; of Q4_K a scale (a 6-bit multiple of an
// f16) and an offset are rounded to 11 bits, finer than the weight's own rounding to bf16.
//
// Block (tile of 16 rows, group of 128 columns) starts at (tile * groups + group) * block32_stride: 1024 bytes of codes
// as w4_tiles.h says, then for each 32 columns the scales of the 16 rows, that of row r as number 2 (r % 8) + r / 8,
// then the offsets in the same order.
#pragma once

#include "kernels/linear/w4_tiles.h"

namespace tern::w4 {

constexpr int64_t kSteps = kGroupCols / 32;
constexpr int64_t block32_stride(bool offsets) { return kCodeBytes + (offsets ? 2 : 1) * kSteps * kScaleBytes; }
constexpr int64_t block32_bytes(int64_t rows, int64_t cols, bool offsets) {
  return tiles(rows) * groups(cols) * block32_stride(offsets);
}

// Rows of blocks as in a file; fill block32_bytes(rows, cols, false or, after the first, true). What is behind the last
// row or column becomes zero.
void pack_q4_0(const std::byte* blocks, int64_t rows, int64_t cols, std::byte* packed);
void pack_q4_0_offset(const std::byte* blocks, int64_t rows, int64_t cols, std::byte* packed);  // offsets of zero
void pack_u4_zero(const std::byte* blocks, int64_t rows, int64_t cols, std::byte* packed);
void pack_q4_k(const std::byte* blocks, int64_t rows, int64_t cols, std::byte* packed);

}  // namespace tern::w4
