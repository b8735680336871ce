#include "kernels/linear/w4_tiles.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "core/half.h"

namespace tern {
namespace {

struct Matrix {
  int64_t rows, cols;
  std::vector<uint8_t> codes;
  std::vector<uint16_t> scales;
};

Matrix random_matrix(int64_t rows, int64_t cols, uint32_t seed) {
  std::mt19937 random(seed);
  Matrix m = {rows, cols, {}, {}};
  for (int64_t i = 0; i < rows * cols; ++i) m.codes.push_back(static_cast<uint8_t>(random() % 16));
  for (int64_t i = 0; i < rows * w4::groups(cols); ++i) {
    m.scales.push_back(f16_from_f32(0.001f * static_cast<float>(1 + random() % 1000)));
  }
  return m;
}

TEST(W4Tiles, EveryWeightIsWhereTheLayoutSays) {
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{16, 128}, {48, 512}, {17, 576}, {1, 8}}) {
    const Matrix m = random_matrix(rows, cols, 1);
    std::vector<std::byte> packed(static_cast<size_t>(w4::packed_bytes(rows, cols)));
    w4::pack(m.codes.data(), m.scales.data(), rows, cols, packed.data());
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t col = 0; col < cols; ++col) {
        const float scale = f32_from_f16(m.scales[row * w4::groups(cols) + col / w4::kGroupCols]);
        ASSERT_EQ(w4::at(packed.data(), rows, cols, row, col),
                  static_cast<float>(m.codes[row * cols + col] - 8) * scale)
            << rows << "x" << cols << " at " << row << ", " << col;
      }
    }
  }
}

// One block against the words of the documentation, written down a second time.
TEST(W4Tiles, LanesFindTheirNibbles) {
  const Matrix m = random_matrix(16, 128, 2);
  std::vector<std::byte> packed(w4::packed_bytes(16, 128));
  w4::pack(m.codes.data(), m.scales.data(), 16, 128, packed.data());
  const int offsets[8] = {0, 8, 16, 24, 1, 9, 17, 25};  // columns of nibbles, from the lowest
  for (int half = 0; half < 2; ++half) {
    for (int lane = 0; lane < 32; ++lane) {
      for (int j = 0; j < 4; ++j) {
        for (int nibble = 0; nibble < 8; ++nibble) {
          const int row = lane / 4 + 8 * (j % 2);
          const int col = 32 * (2 * half + j / 2) + 2 * (lane % 4) + offsets[nibble];
          const auto byte = static_cast<uint8_t>(packed[512 * half + 16 * lane + 4 * j + nibble / 2]);
          ASSERT_EQ(byte >> (nibble % 2 * 4) & 15, m.codes[row * 128 + col]);
        }
      }
    }
  }
}

TEST(W4Tiles, PaddingIsZero) {
  const Matrix m = random_matrix(3, 72, 3);
  std::vector<std::byte> packed(static_cast<size_t>(w4::packed_bytes(3, 72)));
  w4::pack(m.codes.data(), m.scales.data(), 3, 72, packed.data());
  for (int64_t row = 0; row < 16; ++row) {
    for (int64_t col = row < 3 ? 72 : 0; col < 128; ++col) EXPECT_EQ(w4::at(packed.data(), 3, 72, row, col), 0.0f);
  }
}

TEST(W4Tiles, QuantizingErrsByHalfAStepAtMost) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  const int64_t rows = 20, cols = 256;
  std::vector<float> weights;
  for (int64_t i = 0; i < rows * cols; ++i) weights.push_back(normal(random));
  std::vector<std::byte> packed(static_cast<size_t>(w4::packed_bytes(rows, cols)));
  w4::quantize(weights.data(), rows, cols, packed.data());
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t group = 0; group < cols; group += 128) {
      float extreme = 0;
      for (int64_t col = group; col < group + 128; ++col) {
        extreme = std::max(extreme, std::fabs(weights[row * cols + col]));
      }
      // A step is extreme / 8; the far end of the other sign, code 15, may be a whole step away.
      for (int64_t col = group; col < group + 128; ++col) {
        const float error = std::fabs(w4::at(packed.data(), rows, cols, row, col) - weights[row * cols + col]);
        const bool clipped = std::fabs(weights[row * cols + col]) > extreme * 7 / 8;
        EXPECT_LE(error, extreme / 8 * (clipped ? 1.01f : 0.51f));
      }
    }
  }
}

}  // namespace
}  // namespace tern
