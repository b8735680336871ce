// Random blocks of every format: the deviation that was asked for, no mean, nothing that is not finite, the same bytes
// for the same seed.
#include "quant/random_blocks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

namespace tern {
namespace {

constexpr int64_t kElements = 256 * 1024;

struct Drawn {
  std::vector<std::byte> bytes;
  std::vector<float> values;
};

Drawn draw(Format format, double deviation, uint64_t seed) {
  const FormatInfo& info = format_info(format);
  const int64_t blocks = kElements / info.block_elements;
  Drawn out;
  out.bytes.resize(static_cast<size_t>(blocks) * info.block_bytes);
  out.values.resize(kElements);
  random_blocks(format, deviation, seed, blocks, out.bytes.data());
  info.decode(out.bytes.data(), blocks, out.values.data());
  return out;
}

// NVFP4's scales have too little room without the tensor's own.
TEST(RandomBlocks, EveryOtherFormatHasThem) {
  for (const FormatInfo& info : formats()) {
    EXPECT_EQ(has_random_blocks(info.format), info.format != Format::kNVFP4) << info.name;
  }
}

std::vector<FormatInfo> drawn_formats() {
  std::vector<FormatInfo> drawn;
  for (const FormatInfo& info : formats()) {
    if (has_random_blocks(info.format)) drawn.push_back(info);
  }
  return drawn;
}

TEST(RandomBlocks, MeanIsZeroAndDeviationIsAsAsked) {
  for (const FormatInfo& info : drawn_formats()) {
    for (const double deviation : {1.0 / 1024, 0.02, 1.0, 3.3}) {
      double sum = 0, squares = 0;
      for (const float value : draw(info.format, deviation, 5).values) {
        ASSERT_TRUE(std::isfinite(value)) << info.name;
        sum += static_cast<double>(value);
        squares += static_cast<double>(value) * static_cast<double>(value);
      }
      const double rms = std::sqrt(squares / kElements);
      EXPECT_NEAR(rms / deviation, 1.0, 0.04) << info.name << " " << deviation;
      // Beside the deviation of a mean of as many independent draws, 0.002, blocks share a scale's sign.
      EXPECT_LT(std::abs(sum / kElements / deviation), 0.01) << info.name << " " << deviation;
    }
  }
}

TEST(RandomBlocks, TheSeedDecides) {
  for (const FormatInfo& info : drawn_formats()) {
    const Drawn first = draw(info.format, 0.1, 1);
    EXPECT_EQ(first.bytes, draw(info.format, 0.1, 1).bytes) << info.name;
    EXPECT_NE(first.bytes, draw(info.format, 0.1, 2).bytes) << info.name;
  }
}

// Columns must not be alike: a kernel that mixes up rows or elements would go unnoticed.
TEST(RandomBlocks, BlocksAndElementsDiffer) {
  for (const FormatInfo& info : drawn_formats()) {
    const Drawn drawn = draw(info.format, 0.1, 3);
    int64_t equal = 0;
    for (size_t i = 256; i < drawn.values.size(); ++i) equal += drawn.values[i] == drawn.values[i - 256] ? 1 : 0;
    EXPECT_LT(equal, kElements / 4) << info.name;
  }
}

}  // namespace
}  // namespace tern
