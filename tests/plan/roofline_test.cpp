// The roofline over made-up samples on a made-up machine whose numbers are easy to divide by.
#include "plan/roofline.h"

#include <gtest/gtest.h>

namespace tern {
namespace {

// 10 GB/s of memory, 100 of L3 and 200 of L2; 1000, 500 and 100 operations a ns, in tiles 5000 and 2500.
MachineLimits machine() {
  MachineLimits limits;
  limits.threads = 2;
  limits.read_4k_gbps = 8;
  limits.read_huge_gbps = 10;
  limits.l2_gbps = 200;
  limits.l3_gbps = 100;
  limits.int8_gops = 1000;
  limits.bf16_gflops = 500;
  limits.f32_gflops = 100;
  limits.int8_tile_gops = 5000;
  limits.bf16_tile_gflops = 2500;
  limits.l2_bytes = 1 << 20;
  limits.l3_bytes = 32 << 20;
  return limits;
}

OpSample sample(const char* name, Cost cost, double us) { return {name, "kernel", cost, us}; }

// Weights so large that no cache holds a step.
const OpSample kHead = sample("lm_head", {.bytes = 100e6, .ops = 1e6, .arithmetic = Arithmetic::kInt8}, 12'500);

const RooflineRow& row_of(const Roofline& roofline, const std::string& name) {
  for (const RooflineRow& row : roofline.rows) {
    if (row.name == name) return row;
  }
  ADD_FAILURE() << "no row " << name;
  return roofline.rows.front();
}

TEST(Roofline, AddsUpLayersByNameAndKernel) {
  OpSample other = sample("ffn_down", {.bytes = 5e6, .ops = 7}, 1000);
  other.kernel = "another";
  const Cost cost{.bytes = 1e6, .ops = 2};
  const Roofline result =
      roofline({sample("ffn_down", cost, 200), sample("ffn_down", cost, 300), other, kHead}, 14'500, machine());
  ASSERT_EQ(result.rows.size(), 3u);
  EXPECT_EQ(result.rows[0].name, "lm_head");  // what takes most time stands first
  EXPECT_EQ(result.rows[1].kernel, "another");
  const RooflineRow& row = result.rows[2];
  EXPECT_EQ(row.count, 2);
  EXPECT_DOUBLE_EQ(row.us, 500);
  EXPECT_DOUBLE_EQ(row.bytes, 2e6);
  EXPECT_DOUBLE_EQ(row.ops, 4);
  EXPECT_DOUBLE_EQ(result.waiting_us, 500);  // 14,500 - 12,500 - 1,500
}

TEST(Roofline, MemoryBoundUsesTheFasterPages) {
  const Roofline result = roofline({kHead}, 12'600, machine());
  EXPECT_EQ(result.rows[0].bound, "memory");
  EXPECT_NEAR(result.rows[0].share, 100e6 / 10 / 1e3 / 12'500, 1e-12);  // 0.8
}

TEST(Roofline, EachArithmeticHasItsPeak) {
  const auto bound = [&](Arithmetic arithmetic) {
    const Roofline result = roofline(
        {kHead, sample("op", {.bytes = 100, .ops = 1e9, .arithmetic = arithmetic}, 20'000)}, 50'000, machine());
    return std::pair(row_of(result, "op").bound, row_of(result, "op").share);
  };
  EXPECT_EQ(bound(Arithmetic::kInt8), std::pair(std::string("int8"), 0.05));
  EXPECT_EQ(bound(Arithmetic::kBf16), std::pair(std::string("bf16"), 0.1));
  EXPECT_EQ(bound(Arithmetic::kF32), std::pair(std::string("f32"), 0.5));
  EXPECT_EQ(bound(Arithmetic::kInt8Tile), std::pair(std::string("int8_tile"), 0.01));
  EXPECT_EQ(bound(Arithmetic::kBf16Tile), std::pair(std::string("bf16_tile"), 0.02));
}

TEST(Roofline, ActivationsComeFromTheCacheThatHoldsThem) {
  const auto norm = [&](double bytes) {
    const Roofline result =
        roofline({kHead, sample("norm", {.bytes = bytes, .activations = bytes}, bytes / 1e3)}, 50'000, machine());
    return std::pair(row_of(result, "norm").bound, row_of(result, "norm").share);
  };
  EXPECT_EQ(norm(2e6), std::pair(std::string("l2"), 0.005));  // two threads have 2 MiB of L2
  EXPECT_EQ(norm(16e6), std::pair(std::string("l3"), 0.01));
  EXPECT_EQ(norm(64e6), std::pair(std::string("memory"), 0.1));
}

TEST(Roofline, AModelThatFitsIntoACacheIsHeldAgainstThatCache) {
  EXPECT_EQ(roofline({sample("op", {.bytes = 16e6}, 1000)}, 1000, machine()).rows[0].bound, "l3");
  EXPECT_EQ(roofline({sample("op", {.bytes = 1e6}, 1000)}, 1000, machine()).rows[0].bound, "l2");
  MachineLimits without = machine();
  without.l2_gbps = without.l3_gbps = 0;
  EXPECT_EQ(roofline({sample("op", {.bytes = 1e6}, 1000)}, 1000, without).rows[0].bound, "memory");
}

TEST(Roofline, NamesTheFurthestAndTheMostLost) {
  const Cost gate{.bytes = 10e6, .ops = 1, .arithmetic = Arithmetic::kInt8};
  const Roofline result = roofline({kHead,                                // share 0.8, 2,500 us lost
                                    sample("ffn_gate_up", gate, 2000),    // 0.5, 1,000 lost
                                    sample("embed", {.bytes = 100}, 5)},  // less, but too short to be named
                                   15'000, machine());
  EXPECT_EQ(result.lowest_share().name, "ffn_gate_up");
  EXPECT_EQ(result.most_lost().name, "lm_head");
  EXPECT_NEAR(result.most_lost().lost_us(), 2500, 1e-6);
}

TEST(Roofline, NothingWaitsWhereOpsTakeTheWholeStep) { EXPECT_EQ(roofline({kHead}, 12'400, machine()).waiting_us, 0); }

}  // namespace
}  // namespace tern
