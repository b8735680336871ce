#include "kernels/linear/w4_tiles.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/half.h"

namespace tern::w4 {
namespace {

// Where a weight of a block is: byte of its 32-bit word, and the bit of its code in it.
struct Place {
  int64_t byte;
  int bit;
};

Place place_of(int64_t row, int64_t col) {
  const int64_t in_step = col % 32;  // 32 columns: two matrix instructions
  const int64_t lane = 4 * (row % 8) + in_step % 8 / 2;
  const int64_t word = 2 * (col / 32 % 2) + row / 8;
  return {512 * (col / 64) + 16 * lane + 4 * word, static_cast<int>(4 * (in_step / 8) + 16 * (in_step % 2))};
}

int64_t scale_byte(int64_t row) { return 4 * (row % 8) + 2 * (row / 8); }  // in a block's scales

uint32_t load_word(const std::byte* at) {
  uint32_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

}  // namespace

void pack(const uint8_t* codes, const uint16_t* scales, int64_t rows, int64_t cols, std::byte* packed) {
  const int64_t group_count = groups(cols);
  std::memset(packed, 0x88, static_cast<size_t>(packed_bytes(rows, cols)));
  for (int64_t row = 0; row < tiles(rows) * kTileRows; ++row) {
    for (int64_t group = 0; group < group_count; ++group) {
      const int64_t index = row / kTileRows * group_count + group;
      std::byte* block = packed + index * kCodeBytes;
      const uint16_t scale = row < rows ? scales[row * group_count + group] : uint16_t{0};
      std::byte* block_scales = packed + scales_offset(rows, cols) + index * kScaleBytes;
      std::memcpy(block_scales + scale_byte(row % kTileRows), &scale, sizeof scale);
      if (row >= rows) continue;
      const int64_t end = std::min(kGroupCols, cols - group * kGroupCols);
      for (int64_t col = 0; col < end; ++col) {
        const Place place = place_of(row % kTileRows, col);
        const uint32_t code = codes[row * cols + group * kGroupCols + col];
        const uint32_t word = (load_word(block + place.byte) & ~(15u << place.bit)) | (code << place.bit);
        std::memcpy(block + place.byte, &word, sizeof word);
      }
    }
  }
}

void quantize(const float* weights, int64_t rows, int64_t cols, std::byte* packed) {
  const int64_t group_count = groups(cols);
  std::vector<uint8_t> codes(static_cast<size_t>(rows * cols));
  std::vector<uint16_t> scales(static_cast<size_t>(rows * group_count));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t group = 0; group < group_count; ++group) {
      const int64_t begin = row * cols + group * kGroupCols;
      const int64_t end = begin + std::min(kGroupCols, cols - group * kGroupCols);
      float extreme = 0;  // the value of largest magnitude, with its sign: code 0 means -8 scales
      for (int64_t i = begin; i < end; ++i) {
        if (std::fabs(weights[i]) > std::fabs(extreme)) extreme = weights[i];
      }
      const uint16_t scale = f16_from_f32(extreme / -8.0f);
      scales[row * group_count + group] = scale;
      const float inverse = extreme == 0 ? 0.0f : 1.0f / f32_from_f16(scale);
      for (int64_t i = begin; i < end; ++i) {
        codes[i] = static_cast<uint8_t>(std::clamp(std::lround(weights[i] * inverse) + kZeroCode, 0l, 15l));
      }
    }
  }
  pack(codes.data(), scales.data(), rows, cols, packed);
}

float at(const std::byte* packed, int64_t rows, int64_t cols, int64_t row, int64_t col) {
  const int64_t index = row / kTileRows * groups(cols) + col / kGroupCols;
  const Place place = place_of(row % kTileRows, col % kGroupCols);
  const int code = static_cast<int>(load_word(packed + index * kCodeBytes + place.byte) >> place.bit & 15u);
  uint16_t scale;
  std::memcpy(&scale, packed + scales_offset(rows, cols) + index * kScaleBytes + scale_byte(row % kTileRows), 2);
  return static_cast<float>(code - kZeroCode) * f32_from_f16(scale);
}

}  // namespace tern::w4
