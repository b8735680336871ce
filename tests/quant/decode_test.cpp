// Every reference decoder against blocks that the gguf package decoded, bit by bit; F32, which it copies, by itself.
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "quant/format.h"
#include "support/paths.h"

namespace tern {
namespace {

std::vector<char> read_golden(const std::string& name) {
  std::ifstream file(test::golden_dir() + "/quant/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

class DecodeGolden : public testing::TestWithParam<FormatInfo> {};

TEST_P(DecodeGolden, IsBitExact) {
  const FormatInfo& info = GetParam();
  const std::string name(info.name);
  const std::vector<char> encoded = read_golden(name + ".blocks");
  const std::vector<char> expected = read_golden(name + ".f32");
  ASSERT_FALSE(encoded.empty()) << "golden/quant/" << name << ".blocks is missing";
  ASSERT_EQ(encoded.size() % info.block_bytes, 0u);
  const size_t blocks = encoded.size() / info.block_bytes;
  ASSERT_EQ(expected.size(), blocks * info.block_elements * sizeof(float));

  std::vector<float> decoded(blocks * info.block_elements);
  info.decode(reinterpret_cast<const std::byte*>(encoded.data()), static_cast<int64_t>(blocks), decoded.data());
  for (size_t i = 0; i < decoded.size(); ++i) {
    uint32_t bits;
    std::memcpy(&bits, expected.data() + i * sizeof bits, sizeof bits);
    ASSERT_EQ(std::bit_cast<uint32_t>(decoded[i]), bits)
        << "element " << i % info.block_elements << " of block " << i / info.block_elements;
  }
}

// Views into files have any alignment; a block decodes alone as it does among others.
TEST_P(DecodeGolden, AnyAddressAnyCount) {
  const FormatInfo& info = GetParam();
  std::vector<std::byte> encoded(4 * info.block_bytes + 1);
  for (size_t i = 0; i < encoded.size(); ++i) encoded[i] = static_cast<std::byte>(i * 37 % 113);
  std::vector<std::byte> shifted(encoded.begin() + 1, encoded.end());
  std::vector<float> together(4 * info.block_elements), alone(together.size());
  info.decode(encoded.data() + 1, 4, together.data());
  for (size_t b = 0; b < 4; ++b) info.decode(shifted.data() + b * info.block_bytes, 1, &alone[b * info.block_elements]);
  EXPECT_EQ(std::memcmp(together.data(), alone.data(), together.size() * sizeof(float)), 0);
  info.decode(encoded.data(), 0, nullptr);
}

INSTANTIATE_TEST_SUITE_P(All, DecodeGolden, testing::ValuesIn(formats().begin() + 1, formats().end()),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(Decode, F32IsACopy) {
  const float values[] = {0.0f, -0.0f, 1.5f, 1e-45f, 3.4e38f};
  float out[5];
  format_info(Format::kF32).decode(reinterpret_cast<const std::byte*>(values), 5, out);
  EXPECT_EQ(std::memcmp(values, out, sizeof values), 0);
}

}  // namespace
}  // namespace tern
