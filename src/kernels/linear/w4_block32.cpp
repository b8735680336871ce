#include "kernels/linear/w4_block32.h"

#include <cstring>

#include "core/half.h"
#include "quant/q4_0.h"
#include "quant/q4_k.h"
#include "quant/u4_zero.h"

namespace tern::w4 {
namespace {

// A row's codes of 32 columns into their places; code(c) of column c. A word has columns p, p + 8, p + 16, p + 24, then
// in its high half their neighbours.
template <typename Code>
void place_codes(Code code, int64_t row, int64_t step, std::byte* block) {
  for (int64_t i = 0; i < 4; ++i) {
    uint32_t word = 0;
    for (int nibble = 0; nibble < 8; ++nibble) {
      word |= static_cast<uint32_t>(code(2 * i + nibble % 4 * 8 + nibble / 4)) << (4 * nibble);
    }
    const int64_t lane = 4 * (row % 8) + i, j = 2 * (step % 2) + row / 8;
    std::memcpy(block + 512 * (step / 2) + 16 * lane + 4 * j, &word, sizeof word);
  }
}

// Number `step` of the scales, or behind them of the offsets.
void place_scale(uint16_t value, int64_t row, int64_t step, std::byte* block) {
  std::memcpy(block + kCodeBytes + step * kScaleBytes + 4 * (row % 8) + 2 * (row / 8), &value, sizeof value);
}

void place(const BlockQ4_0& from, int64_t row, int64_t step, std::byte* block) {
  place_codes([&](int64_t c) { return from.qs[c % 16] >> (c / 16 * 4) & 15; }, row, step, block);
  place_scale(from.d, row, step, block);
}

void place(const BlockU4Zero& from, int64_t row, int64_t step, std::byte* block) {
  place_codes([&](int64_t c) { return from.qs[c % 16] >> (c / 16 * 4) & 15; }, row, step, block);
  place_scale(from.d, row, step, block);
  const float offset = f32_from_f16(from.d) * (kZeroCode + f32_from_f16(from.m));
  place_scale(f16_from_f32(offset), row, kSteps + step, block);
}

// Of 256 columns those of sub-block `sub`.
void place(const BlockQ4_K& from, int64_t sub, int64_t row, int64_t step, std::byte* block) {
  const uint8_t* qs = from.qs + sub / 2 * 32;
  place_codes([&](int64_t c) { return qs[c] >> (sub % 2 * 4) & 15; }, row, step, block);
  const ScaleMinK packed = scale_min_k(from.scales, static_cast<int>(sub));
  const uint16_t scale = f16_from_f32(f32_from_f16(from.d) * static_cast<float>(packed.scale));
  const float minimum = f32_from_f16(from.dmin) * static_cast<float>(packed.minimum);
  place_scale(scale, row, step, block);
  place_scale(f16_from_f32(kZeroCode * f32_from_f16(scale) - minimum), row, kSteps + step, block);
}

// Weights that are zero everywhere.
void clear(int64_t rows, int64_t cols, bool offsets, std::byte* packed) {
  const int64_t stride = block32_stride(offsets);
  for (int64_t index = 0; index < tiles(rows) * groups(cols); ++index) {
    std::memset(packed + index * stride, 0x88, kCodeBytes);
    std::memset(packed + index * stride + kCodeBytes, 0, static_cast<size_t>(stride - kCodeBytes));
  }
}

// Calls place_step(row, 32 columns counted from the row's first, row in its tile, step in its block, block).
template <typename PlaceStep>
void pack(int64_t rows, int64_t cols, bool offsets, std::byte* packed, PlaceStep place_step) {
  clear(rows, cols, offsets, packed);
  const int64_t stride = block32_stride(offsets);
  for (int64_t row = 0; row < rows; ++row) {
    std::byte* tile = packed + row / kTileRows * groups(cols) * stride;
    for (int64_t i = 0; i < cols / 32; ++i) {
      place_step(row, i, row % kTileRows, i % kSteps, tile + i / kSteps * stride);
    }
  }
}

template <typename Block>
void pack_blocks32(const std::byte* blocks, int64_t rows, int64_t cols, bool offsets, std::byte* packed) {
  const auto* from = reinterpret_cast<const Block*>(blocks);
  pack(rows, cols, offsets, packed, [&](int64_t row, int64_t i, int64_t in_tile, int64_t step, std::byte* block) {
    place(from[row * (cols / 32) + i], in_tile, step, block);
  });
}

}  // namespace

void pack_q4_0(const std::byte* blocks, int64_t rows, int64_t cols, std::byte* packed) {
  pack_blocks32<BlockQ4_0>(blocks, rows, cols, false, packed);
}

void pack_q4_0_offset(const std::byte* blocks, int64_t rows, int64_t cols, std::byte* packed) {
  pack_blocks32<BlockQ4_0>(blocks, rows, cols, true, packed);
}

void pack_u4_zero(const std::byte* blocks, int64_t rows, int64_t cols, std::byte* packed) {
  pack_blocks32<BlockU4Zero>(blocks, rows, cols, true, packed);
}

void pack_q4_k(const std::byte* blocks, int64_t rows, int64_t cols, std::byte* packed) {
  const auto* from = reinterpret_cast<const BlockQ4_K*>(blocks);
  pack(rows, cols, true, packed, [&](int64_t row, int64_t i, int64_t in_tile, int64_t step, std::byte* block) {
    place(from[row * (cols / 256) + i / 8], i % 8, in_tile, step, block);
  });
}

}  // namespace tern::w4
