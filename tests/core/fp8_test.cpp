#include "core/fp8.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tern {
namespace {

TEST(Fp8, KnownValues) {
  EXPECT_EQ(f32_from_e4m3(0x00), 0.0f);
  EXPECT_EQ(f32_from_e4m3(0x01), 0x1p-9f);
  EXPECT_EQ(f32_from_e4m3(0x08), 0x1p-6f);
  EXPECT_EQ(f32_from_e4m3(0x38), 1.0f);
  EXPECT_EQ(f32_from_e4m3(0xb8), -1.0f);
  EXPECT_EQ(f32_from_e4m3(0x7e), 448.0f);
  EXPECT_TRUE(std::isnan(f32_from_e4m3(0x7f)));
}

TEST(Fp8, EveryNumberSurvivesTheRoundTrip) {
  for (int bits = 0; bits < 256; ++bits) {
    if ((bits & 0x7f) == 0x7f) continue;
    EXPECT_EQ(e4m3_from_f32(f32_from_e4m3(static_cast<uint8_t>(bits))), bits);
  }
}

TEST(Fp8, RoundsToTheNearestAndTiesToEven) {
  for (int bits = 0; bits < 0x7e; ++bits) {
    const float low = f32_from_e4m3(static_cast<uint8_t>(bits)), high = f32_from_e4m3(static_cast<uint8_t>(bits + 1));
    const float middle = (low + high) / 2;
    EXPECT_EQ(e4m3_from_f32(std::nextafter(middle, low)), bits);
    EXPECT_EQ(e4m3_from_f32(std::nextafter(middle, high)), bits + 1);
    EXPECT_EQ(e4m3_from_f32(middle), bits % 2 == 0 ? bits : bits + 1);
  }
  EXPECT_EQ(e4m3_from_f32(1e9f), 0x7e);
  EXPECT_EQ(e4m3_from_f32(-1e9f), 0xfe);
}

}  // namespace
}  // namespace tern
