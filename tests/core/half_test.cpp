// The 16-bit conversions, over all their values and the midpoints between them.
#include "core/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace tern {
namespace {

// What the bits of a format with `mantissa` bits and exponent bias `bias` mean, from the definition.
double meaning(uint32_t bits, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = static_cast<int>(bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const double fraction = static_cast<double>(bits & ((1u << mantissa_bits) - 1));
  const double sign = bits >> (exponent_bits + mantissa_bits) & 1 ? -1.0 : 1.0;
  if (exponent == (1 << exponent_bits) - 1) {
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity() : std::nan("");
  }
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - mantissa_bits);
  return sign * std::ldexp(std::ldexp(1.0, mantissa_bits) + fraction, exponent - bias - mantissa_bits);
}

struct Half {
  const char* name;
  int exponent_bits, mantissa_bits;
  float (*to_f32)(uint16_t);
  uint16_t (*from_f32)(float);
};

class HalfFormat : public testing::TestWithParam<Half> {};

TEST_P(HalfFormat, EveryValueDecodesAndReturns) {
  const Half& half = GetParam();
  for (uint32_t bits = 0; bits < 65'536; ++bits) {
    const float value = half.to_f32(static_cast<uint16_t>(bits));
    const double expected = meaning(bits, half.exponent_bits, half.mantissa_bits);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(value)) << bits;
      ASSERT_TRUE(std::isnan(half.to_f32(half.from_f32(value)))) << bits;
      continue;
    }
    ASSERT_EQ(double{value}, expected) << bits;
    ASSERT_EQ(std::signbit(value), (bits >> 15) == 1) << bits;
    ASSERT_EQ(half.from_f32(value), bits);
  }
}

// Between two neighbours: below the middle rounds down, above up, the middle to the even one.
TEST_P(HalfFormat, RoundsToNearestEven) {
  const Half& half = GetParam();
  const uint32_t infinity = ((1u << half.exponent_bits) - 1) << half.mantissa_bits;
  for (uint32_t sign = 0; sign <= 0x8000; sign += 0x8000) {
    for (uint32_t bits = 0; bits + 1 < infinity; ++bits) {
      const double low = meaning(bits, half.exponent_bits, half.mantissa_bits);
      const double high = meaning(bits + 1, half.exponent_bits, half.mantissa_bits);
      const auto middle = static_cast<float>((low + high) / 2);  // exact: one bit more than the 16-bit format has
      const float flip = sign ? -1.0f : 1.0f;
      ASSERT_EQ(half.from_f32(flip * middle), sign | (bits % 2 == 0 ? bits : bits + 1)) << bits;
      ASSERT_EQ(half.from_f32(flip * std::nextafter(middle, 0.0f)), sign | bits) << bits;
      ASSERT_EQ(half.from_f32(flip * std::nextafter(middle, std::numeric_limits<float>::infinity())), sign | (bits + 1))
          << bits;
    }
  }
}

TEST_P(HalfFormat, BeyondTheLargest) {
  const Half& half = GetParam();
  const uint32_t infinity = ((1u << half.exponent_bits) - 1) << half.mantissa_bits;
  const double largest = meaning(infinity - 1, half.exponent_bits, half.mantissa_bits);
  const double before = meaning(infinity - 2, half.exponent_bits, half.mantissa_bits);
  const auto edge = static_cast<float>(largest + (largest - before) / 2);
  EXPECT_EQ(half.from_f32(std::nextafter(edge, 0.0f)), infinity - 1);
  EXPECT_EQ(half.from_f32(edge), infinity);
  EXPECT_EQ(half.from_f32(std::numeric_limits<float>::max()), infinity);
  EXPECT_EQ(half.from_f32(-std::numeric_limits<float>::infinity()), 0x8000u | infinity);
}

INSTANTIATE_TEST_SUITE_P(All, HalfFormat,
                         testing::Values(Half{"f16", 5, 10, f32_from_f16, f16_from_f32},
                                         Half{"bf16", 8, 7, f32_from_bf16, bf16_from_f32}),
                         [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace tern
