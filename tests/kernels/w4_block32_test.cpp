// Q4_0 and Q4_K in the GPU's packed layout: read back as its header says, against the formats' own decoders.
#include "kernels/linear/w4_block32.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "core/half.h"
#include "quant/format.h"
#include "quant/q4_0.h"
#include "quant/q4_k.h"
#include "quant/u4_zero.h"

namespace tern {
namespace {

float half_at(const std::byte* at) {
  uint16_t bits;
  std::memcpy(&bits, at, sizeof bits);
  return f32_from_f16(bits);
}

// The weight in a place of the layout, by looking for the column among those that a word says it has.
float at(const std::vector<std::byte>& packed, int64_t cols, bool offsets, int64_t row, int64_t col) {
  const int64_t index = row / 16 * ((cols + 127) / 128) + col / 128, r = row % 16, c = col % 128;
  const std::byte* block = packed.data() + index * (offsets ? 1280 : 1152);
  const int64_t number = c / 32 * 32 + 2 * (2 * (r % 8) + r / 8);
  const float scale = half_at(block + 1024 + number), offset = offsets ? half_at(block + 1152 + number) : 0;
  for (int64_t half = 0; half < 2; ++half) {
    for (int64_t lane = 0; lane < 32; ++lane) {
      for (int64_t j = 0; j < 4; ++j) {
        if (lane / 4 + 8 * (j % 2) != r) continue;
        uint32_t word;
        std::memcpy(&word, block + 512 * half + 16 * lane + 4 * j, sizeof word);
        for (int64_t i = 0; i < 4; ++i) {
          for (int64_t odd = 0; odd < 2; ++odd) {
            if (32 * (2 * half + j / 2) + 2 * (lane % 4) + 8 * i + odd != c) continue;
            return (static_cast<float>(word >> (4 * i + 16 * odd) & 15) - 8) * scale + offset;
          }
        }
      }
    }
  }
  ADD_FAILURE() << "no place for column " << col;
  return 0;
}

// Random bits, and f16 of a usual size where the format has them.
std::vector<std::byte> random_rows(Format format, int64_t rows, int64_t cols) {
  const FormatInfo& info = format_info(format);
  std::mt19937 random(3);
  std::vector<std::byte> bytes(static_cast<size_t>(rows * cols / info.block_elements * info.block_bytes));
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random() >> 24);
  for (size_t block = 0; block < bytes.size(); block += info.block_bytes) {
    for (size_t i = 0; i < (format == Format::kQ4_K ? 2u : 1u); ++i) {
      const uint16_t value = f16_from_f32(1e-4f * static_cast<float>(1 + random() % 16));
      std::memcpy(&bytes[block + 2 * i], &value, sizeof value);
    }
  }
  return bytes;
}

std::vector<float> decoded(Format format, const std::vector<std::byte>& rows, int64_t count) {
  std::vector<float> out(static_cast<size_t>(count));
  const FormatInfo& info = format_info(format);
  info.decode(rows.data(), count / info.block_elements, out.data());
  return out;
}

TEST(W4Block32, Q4_0IsKept) {
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{16, 128}, {37, 416}, {1, 32}}) {
    const std::vector<std::byte> file = random_rows(Format::kQ4_0, rows, cols);
    const std::vector<float> want = decoded(Format::kQ4_0, file, rows * cols);
    std::vector<std::byte> packed(static_cast<size_t>(w4::block32_bytes(rows, cols, false)), std::byte{0x55});
    w4::pack_q4_0(file.data(), rows, cols, packed.data());
    for (int64_t row = 0; row < (rows + 15) / 16 * 16; ++row) {
      for (int64_t col = 0; col < (cols + 127) / 128 * 128; ++col) {
        const bool inside = row < rows && col < cols;
        ASSERT_EQ(at(packed, cols, false, row, col), inside ? want[static_cast<size_t>(row * cols + col)] : 0.0f)
            << row << " " << col;
      }
    }
  }
}

// Scales are kept, and so is what a zero of 8 makes; other offsets, whole numbers of scales, have 11 bits. Q4_0 beside
// such parts has offsets of zero.
TEST(W4Block32, ZeroPointsAreOffsets) {
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{16, 128}, {37, 416}, {1, 32}}) {
    std::vector<std::byte> file = random_rows(Format::kU4Zero, rows, cols);
    for (size_t block = 0; block < file.size(); block += sizeof(BlockU4Zero)) {
      const uint16_t m = f16_from_f32(-static_cast<float>(block / sizeof(BlockU4Zero) % 16));
      std::memcpy(&file[block + 2], &m, sizeof m);
    }
    const std::vector<float> want = decoded(Format::kU4Zero, file, rows * cols);
    const auto* blocks = reinterpret_cast<const BlockU4Zero*>(file.data());
    std::vector<std::byte> packed(static_cast<size_t>(w4::block32_bytes(rows, cols, true)), std::byte{0x55});
    w4::pack_u4_zero(file.data(), rows, cols, packed.data());
    for (int64_t i = 0; i < rows * cols; ++i) {
      const float offset = f32_from_f16(blocks[i / 32].d) * (8 + f32_from_f16(blocks[i / 32].m));
      const float allowed = std::fabs(offset - f32_from_f16(f16_from_f32(offset)));
      ASSERT_NEAR(at(packed, cols, true, i / cols, i % cols), want[static_cast<size_t>(i)], allowed + 1e-9f) << i;
    }
    const std::vector<std::byte> plain = random_rows(Format::kQ4_0, rows, cols);
    w4::pack_q4_0_offset(plain.data(), rows, cols, packed.data());
    const std::vector<float> same = decoded(Format::kQ4_0, plain, rows * cols);
    for (int64_t i = 0; i < rows * cols; ++i) {
      ASSERT_EQ(at(packed, cols, true, i / cols, i % cols), same[static_cast<size_t>(i)]) << i;
    }
  }
}

// Scale and offset have 11 bits. The offset is made for the rounded scale, so that 15 scales and one offset round at
// most.
TEST(W4Block32, Q4_KIsKeptToElevenBits) {
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{16, 256}, {21, 768}}) {
    const std::vector<std::byte> file = random_rows(Format::kQ4_K, rows, cols);
    const std::vector<float> want = decoded(Format::kQ4_K, file, rows * cols);
    std::vector<std::byte> packed(static_cast<size_t>(w4::block32_bytes(rows, cols, true)), std::byte{0x55});
    w4::pack_q4_k(file.data(), rows, cols, packed.data());
    const auto* blocks = reinterpret_cast<const BlockQ4_K*>(file.data());
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t col = 0; col < cols; ++col) {
        const int64_t i = row * cols + col;
        const ScaleMinK sub = scale_min_k(blocks[i / 256].scales, static_cast<int>(i % 256 / 32));
        const float scale = f32_from_f16(blocks[i / 256].d) * static_cast<float>(sub.scale);
        const float offset = 8 * scale - f32_from_f16(blocks[i / 256].dmin) * static_cast<float>(sub.minimum);
        const float allowed = (15 * scale + std::fabs(offset)) * 0x1p-11f + 0x1p-24f;
        ASSERT_NEAR(at(packed, cols, true, row, col), want[static_cast<size_t>(i)], allowed) << row << " " << col;
      }
    }
  }
}

}  // namespace
}  // namespace tern
