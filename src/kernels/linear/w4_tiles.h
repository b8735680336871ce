// The packed layout of 4-bit weights on the GPU: blocks of 16 rows x 128 columns, in the order in which the lanes of a
// warp feed them to the matrix unit (mma.m16n8k16), so that one 16-byte load gives a lane 32 weights.
//
// A block is 1056 bytes: 1024 of codes, then one f16 scale a row. w = (code - 8) * scale. Blocks of one row tile follow
// each other over the columns: block (tile, group) starts at (tile * groups + group) * 1056. Rows are padded to 16 and
// columns to 128 with weights that are zero.
//
// Codes: u32 word (half h, lane l, j) at byte 512 h + 16 l + 4 j holds row l / 4 + 8 (j % 2) of columns
// 32 (2 h + j / 2) + 2 (l % 4) + {0, 1, 8, 9, 16, 17, 24, 25}: the even ones in the nibbles of the low half (first in
// the lowest), the odd ones in the high half. One mask then gives two neighbouring columns as two 16-bit numbers.
// Scales: f16 of row r at byte 1024 + 4 (r % 8) + 2 (r / 8).
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern::w4 {

constexpr int64_t kTileRows = 16;
constexpr int64_t kGroupCols = 128;
constexpr int64_t kCodeBytes = kTileRows * kGroupCols / 2;
constexpr int64_t kBlockBytes = kCodeBytes + kTileRows * 2;
constexpr int kZeroCode = 8;

constexpr int64_t tiles(int64_t rows) { return (rows + kTileRows - 1) / kTileRows; }
constexpr int64_t groups(int64_t cols) { return (cols + kGroupCols - 1) / kGroupCols; }
constexpr int64_t packed_bytes(int64_t rows, int64_t cols) { return tiles(rows) * groups(cols) * kBlockBytes; }

// codes [rows, cols], one a byte, 0..15; scales [rows, groups(cols)] f16 bits; fills packed_bytes(rows, cols).
void pack(const uint8_t* codes, const uint16_t* scales, int64_t rows, int64_t cols, std::byte* packed);

// Rounds f32 weights [rows, cols] to codes and scales (the value of largest magnitude in a group gets code 0, whatever its
// sign) and packs them. A plain rounding, for weights that no method has prepared.
void quantize(const float* weights, int64_t rows, int64_t cols, std::byte* packed);

// The weight at (row, col) of a packed matrix with `cols` columns.
float at(const std::byte* packed, int64_t cols, int64_t row, int64_t col);

}  // namespace tern::w4
