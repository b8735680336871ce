// The packed layout of 4-bit weights on the GPU: blocks of 16 rows x 128 columns, in the order in which the lanes of a
// warp feed them to the matrix unit (mma.m16n8k16), so that one 16-byte load gives a lane 32 weights.
//
// First the codes of all blocks, 1024 bytes each, those of one row tile following each other over the columns: block
// (tile, group) starts at (tile * groups + group) * 1024. Then the scales of all blocks in the same order, 16 f16 each.
// w = (code - 8) * scale. Rows are padded to 16 and columns to 128 with weights that are zero.
//
// Codes: u32 word (half h, lane l, j) at byte 512 h + 16 l + 4 j holds row l / 4 + 8 (j % 2) of columns
// 32 (2 h + j / 2) + 2 (l % 4) + {0, 1, 8, 9, 16, 17, 24, 25}: the even ones in the nibbles of the low half (first in
// the lowest), the odd ones in the high half. One mask then gives two neighbouring columns as two 16-bit numbers.
// Scales: that of row r is number 2 (r % 8) + r / 8 of its block.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern::w4 {

constexpr int64_t kTileRows = 16;
constexpr int64_t kGroupCols = 128;
constexpr int64_t kCodeBytes = kTileRows * kGroupCols / 2;
constexpr int64_t kScaleBytes = kTileRows * 2;  // of a block
constexpr int kZeroCode = 8;

constexpr int64_t tiles(int64_t rows) { return (rows + kTileRows - 1) / kTileRows; }
constexpr int64_t groups(int64_t cols) { return (cols + kGroupCols - 1) / kGroupCols; }
constexpr int64_t scales_offset(int64_t rows, int64_t cols) { return tiles(rows) * groups(cols) * kCodeBytes; }
constexpr int64_t packed_bytes(int64_t rows, int64_t cols) {
  return tiles(rows) * groups(cols) * (kCodeBytes + kScaleBytes);
}

// codes [rows, cols], one a byte, 0..15; scales [rows, groups(cols)] f16 bits; fills packed_bytes(rows, cols).
void pack(const uint8_t* codes, const uint16_t* scales, int64_t rows, int64_t cols, std::byte* packed);

// Rounds f32 weights [rows, cols] to codes and scales (the value of largest magnitude in a group gets code 0, whatever
// its sign) and packs them. A plain rounding, for weights that no method has prepared.
void quantize(const float* weights, int64_t rows, int64_t cols, std::byte* packed);

// The weight at (row, col) of a packed [rows, cols] matrix.
float at(const std::byte* packed, int64_t rows, int64_t cols, int64_t row, int64_t col);

}  // namespace tern::w4
