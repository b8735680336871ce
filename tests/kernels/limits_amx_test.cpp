// The peak loops of AMX on tile registers in software (emulated/kernels/tiles_amx.h, which CMake puts before the real
// one here): they multiply as much as their rows say.
#include <gtest/gtest.h>

#define kPeakLoopsAmx kCountedPeakLoops
#include "kernels/limits/limits_amx.cpp"

namespace tern {
namespace {

TEST(LimitsAmx, LoopsMultiplyAsMuchAsTheirRowsSay) {
  ASSERT_EQ(kCountedPeakLoops.count, 2);
  for (int i = 0; i < kCountedPeakLoops.count; ++i) {
    const PeakLoop& loop = kCountedPeakLoops.rows[i];
    for (const int64_t iterations : {4, 32}) {
      g_operations = 0;
      loop.run(iterations);
      EXPECT_EQ(static_cast<double>(g_operations), loop.ops * static_cast<double>(iterations)) << loop.name;
    }
  }
}

TEST(LimitsAmx, EachLoopNamesItsArithmetic) {
  EXPECT_EQ(kCountedPeakLoops.rows[0].arithmetic, Arithmetic::kInt8Tile);
  EXPECT_EQ(kCountedPeakLoops.rows[1].arithmetic, Arithmetic::kBf16Tile);
}

}  // namespace
}  // namespace tern
