// That the loops which measure the machine do what their rows say, and that the limits are plausible for it.
#include "kernels/limits/limits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "kernels/selection.h"

namespace tern {
namespace {

// All loops add up 64-bit words, lane by lane: the same sum in any order.
TEST(Limits, EveryReadLoopReadsEveryByteOnce) {
  alignas(64) static uint64_t memory[16384 / 8];
  uint64_t sum = 0, next = 88172645463325252ull;
  for (uint64_t& word : memory) {
    next ^= next << 13, next ^= next >> 7, next ^= next << 17;
    word = next;
    sum += word;
  }
  for (const auto* span : {&kReadLoopsAvx512, &kReadLoopsAvx2, &kReadLoopsRef}) {
    for (int i = 0; i < span->count; ++i) {
      const ReadLoop& loop = span->rows[i];
      if ((loop.needs & ~detect_isa()) != 0) continue;
      const auto* bytes = reinterpret_cast<const std::byte*>(memory);
      EXPECT_EQ(static_cast<uint64_t>(loop.run(bytes, sizeof memory)), sum) << loop.name;
    }
  }
}

// A loop that a compiler has seen through would take no time, or the same for any number of iterations.
TEST(Limits, PeakLoopsTakeTimeInProportion) {
  const auto seconds = [](const PeakLoop& loop, int64_t iterations) {
    double best = 1;
    for (int i = 0; i < 9; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      loop.run(iterations);
      best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    return best;
  };
  for (const PeakLoop* loop : peak_loops()) {
    const double gops = loop->ops * 200'000 / seconds(*loop, 200'000) / 1e9;
    EXPECT_LT(gops, 100'000) << loop->name;  // of one thread
    EXPECT_GT(seconds(*loop, 200'000), 2 * seconds(*loop, 50'000)) << loop->name;
  }
}

TEST(Limits, AreMeasuredForEachThreadCount) {
  const std::vector<MachineLimits> all = measure_limits({1, 2});
  ASSERT_EQ(all.size(), 2u);
  for (const MachineLimits& limits : all) {
    EXPECT_GT(limits.read_4k_gbps, 0);
    EXPECT_GT(limits.read_huge_gbps, 0);
    EXPECT_GT(limits.int8_gops, 0);
    EXPECT_GT(limits.bf16_gflops, 0);
    EXPECT_GT(limits.f32_gflops, 0);
    EXPECT_EQ(limits.read_gbps(), std::max(limits.read_4k_gbps, limits.read_huge_gbps));
    EXPECT_EQ(limits.int8_tile_gops > 0, (detect_isa() & kIsaAmxInt8) != 0);
    EXPECT_EQ(limits.bf16_tile_gflops > 0, (detect_isa() & kIsaAmxBf16) != 0);
    EXPECT_EQ(limits.loops.size(), peak_loops().size() + 2 * read_loops().size());
  }
  EXPECT_EQ(all[0].threads, 1);
  EXPECT_EQ(all[1].threads, 2);
}

TEST(Limits, EachArithmeticHasItsPeak) {
  const MachineLimits limits{
      .int8_gops = 3, .bf16_gflops = 2, .f32_gflops = 1, .int8_tile_gops = 5, .bf16_tile_gflops = 4};
  const auto peak = [&](Arithmetic arithmetic) { return limits.peak_gops(arithmetic); };
  EXPECT_EQ(peak(Arithmetic::kF32), 1);
  EXPECT_EQ(peak(Arithmetic::kBf16), 2);
  EXPECT_EQ(peak(Arithmetic::kInt8), 3);
  EXPECT_EQ(peak(Arithmetic::kBf16Tile), 4);
  EXPECT_EQ(peak(Arithmetic::kInt8Tile), 5);
}

}  // namespace
}  // namespace tern
