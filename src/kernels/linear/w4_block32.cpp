#include "kernels/linear/w4_block32.h"

#include <cstring>

#include "quant/q4_0.h"

namespace tern::w4 {
namespace {

// Columns p, p + 8, p + 16, p + 24 and the four behind them: in the file's block, byte c % 16 and nibble c / 16.
uint32_t word_of(const BlockQ4_0& block, int64_t p) {
  uint32_t word = 0;
  for (int odd = 0; odd < 2; ++odd) {
    const uint32_t near = block.qs[p + odd], far = block.qs[p + odd + 8];
    word |= ((near & 15u) | (far & 15u) << 4 | near >> 4 << 8 | far >> 4 << 12) << (16 * odd);
  }
  return word;
}

// One row's 32 columns into their places of a packed block.
void place(const BlockQ4_0& from, int64_t row, int64_t step, std::byte* block) {
  for (int64_t i = 0; i < 4; ++i) {
    const uint32_t word = word_of(from, 2 * i);
    const int64_t lane = 4 * (row % 8) + i, j = 2 * (step % 2) + row / 8;
    std::memcpy(block + 512 * (step / 2) + 16 * lane + 4 * j, &word, sizeof word);
  }
  std::memcpy(block + kCodeBytes + step * kScaleBytes + 4 * (row % 8) + 2 * (row / 8), &from.d, sizeof from.d);
}

}  // namespace

void pack_q4_0(const std::byte* blocks, int64_t rows, int64_t cols, std::byte* packed) {
  const int64_t steps = cols / 32, group_count = groups(cols);
  for (int64_t index = 0; index < tiles(rows) * group_count; ++index) {
    std::byte* block = packed + index * kBlock32Bytes;
    std::memset(block, 0x88, kCodeBytes);
    std::memset(block + kCodeBytes, 0, kSteps * kScaleBytes);
  }
  const auto* from = reinterpret_cast<const BlockQ4_0*>(blocks);
  for (int64_t row = 0; row < rows; ++row) {
    std::byte* tile = packed + row / kTileRows * group_count * kBlock32Bytes;
    for (int64_t step = 0; step < steps; ++step, ++from) {
      place(*from, row % kTileRows, step % kSteps, tile + step / kSteps * kBlock32Bytes);
    }
  }
}

}  // namespace tern::w4
