// Checked against 128-bit arithmetic at the borders of 64 bits.
#include "core/checked.h"

#include <gtest/gtest.h>

#include <vector>

namespace tern {
namespace {

using Wide = unsigned __int128;
constexpr uint64_t kMax = UINT64_MAX;

std::vector<uint64_t> borders() {
  std::vector<uint64_t> values;
  for (int shift = 0; shift < 64; shift += 3) {
    for (const uint64_t delta : {kMax, uint64_t{0}, uint64_t{1}}) values.push_back((uint64_t{1} << shift) + delta);
  }
  values.insert(values.end(), {kMax, kMax - 1, kMax / 2, kMax / 3, 0xffffffffu, 0x7fffffffu});
  return values;
}

void expect_same(Checked result, bool fits, Wide oracle, uint64_t a, uint64_t b) {
  ASSERT_EQ(result.ok(), fits) << a << " and " << b;
  ASSERT_EQ(result.value().has_value(), fits);
  if (fits) {
    ASSERT_EQ(*result.value(), static_cast<uint64_t>(oracle)) << a << " and " << b;
  }
}

TEST(Checked, AgreesWith128Bits) {
  for (const uint64_t a : borders()) {
    for (const uint64_t b : borders()) {
      const Wide wide_a = a, wide_b = b;
      expect_same(Checked(a) + Checked(b), wide_a + wide_b <= kMax, wide_a + wide_b, a, b);
      expect_same(Checked(a) - Checked(b), a >= b, wide_a - wide_b, a, b);
      expect_same(Checked(a) * Checked(b), wide_a * wide_b <= kMax, wide_a * wide_b, a, b);
      expect_same(Checked(a) / Checked(b), b != 0, b == 0 ? 0 : wide_a / wide_b, a, b);
      const Wide up = b == 0 ? 0 : (wide_a + wide_b - 1) / wide_b * wide_b;
      expect_same(Checked(a).aligned_up(b), b != 0 && up <= kMax, up, a, b);
    }
  }
}

TEST(Checked, RoundingUpNearTheEndFails) {
  for (uint64_t alignment = 2; alignment <= 65'536; alignment *= 2) {
    for (uint64_t k = 0; k < alignment - 1; ++k) ASSERT_FALSE(Checked(kMax - k).aligned_up(alignment).ok()) << k;
    EXPECT_TRUE(Checked(kMax - (alignment - 1)).aligned_up(alignment).ok());
  }
}

TEST(Checked, AnOverflowStays) {
  const Checked bad = Checked(kMax) + Checked(1);
  EXPECT_FALSE((bad - Checked(1)).ok());
  EXPECT_FALSE((bad * Checked(0)).ok());
  EXPECT_FALSE((Checked(0) * bad).ok());
  EXPECT_FALSE((bad / Checked(1)).ok());
  EXPECT_FALSE(bad.aligned_up(8).ok());
  EXPECT_FALSE(Checked::overflow().at_most(kMax));
  EXPECT_EQ(bad.value_or(7), 7u);
  EXPECT_EQ(Checked(3).value_or(7), 3u);
  EXPECT_TRUE(Checked(3).at_most(3));
  EXPECT_FALSE(Checked(4).at_most(3));
}

}  // namespace
}  // namespace tern
