// The router of a mixture of experts.
#include "kernels/moe/route.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

namespace tern {
namespace {

TEST(Route, BestExpertsComeByFallingScoreAndTheirWeightsSumToOne) {
  const std::array<float, 5> scores{0.5f, 2.0f, -1.0f, 2.0f, 1.0f};
  std::array<float, 6> route{};
  route_row({.experts = 5, .used = 3, .normalized = true}, scores.data(), nullptr, route.data());
  EXPECT_EQ(route[0], 1);
  EXPECT_EQ(route[1], 3);
  EXPECT_EQ(route[2], 4);
  const double sum = 2 + std::exp(-1.0);
  EXPECT_NEAR(route[3], 1 / sum, 1e-6);
  EXPECT_NEAR(route[4], 1 / sum, 1e-6);
  EXPECT_NEAR(route[5], std::exp(-1.0) / sum, 1e-6);
}

TEST(Route, WithoutNormalizingWeightsAreSharesOfTheSoftmaxOfAll) {
  const std::array<float, 3> scores{0, std::log(2.0f), std::log(5.0f)};
  std::array<float, 2> route{};
  route_row({.experts = 3, .used = 1, .normalized = false}, scores.data(), nullptr, route.data());
  EXPECT_EQ(route[0], 2);
  EXPECT_NEAR(route[1], 5.0 / 8.0, 1e-6);
}

// Without a bias the best group would be the first; the weights are of the sigmoids alone.
TEST(Route, ABiasChoosesAndDoesNotWeigh) {
  const std::array<float, 4> scores{2.0f, 1.0f, 0.5f, 0.0f}, bias{-1.0f, 0.0f, 0.3f, 0.2f};
  std::array<float, 4> route{};
  const RouteFacts facts{.experts = 4, .used = 2, .normalized = true, .sigmoid = true, .scale = 2};
  route_row(facts, scores.data(), bias.data(), route.data());
  EXPECT_EQ(route[0], 2);
  EXPECT_EQ(route[1], 1);
  const double second = 1 / (1 + std::exp(-0.5)), first = 1 / (1 + std::exp(-1.0));
  EXPECT_NEAR(route[2], 2 * second / (first + second), 1e-6);
  EXPECT_NEAR(route[3], 2 * first / (first + second), 1e-6);
}

// The best expert is in the first group, the best two together in the second.
TEST(Route, GroupsGoByTheirBestOrTheirBestTwo) {
  const std::array<float, 6> scores{3.0f, -3.0f, 2.0f, 2.0f, -1.0f, 2.5f};
  std::array<float, 2> route{};
  RouteFacts facts{.experts = 6, .used = 1, .normalized = true, .groups = 3, .groups_used = 1};
  route_row(facts, scores.data(), nullptr, route.data());
  EXPECT_EQ(route[0], 0);
  facts.groups_by_two = true;
  route_row(facts, scores.data(), nullptr, route.data());
  EXPECT_EQ(route[0], 2);
  std::array<float, 8> all{};
  facts = {.experts = 6, .used = 4, .normalized = false, .groups = 3, .groups_used = 2};
  route_row(facts, scores.data(), nullptr, all.data());
  EXPECT_EQ(all[0], 0);
  EXPECT_EQ(all[1], 5);
  EXPECT_EQ(all[2], 4);
  EXPECT_EQ(all[3], 1);
}

// The step has room for each token once an expert.
TEST(Route, ExpertsDifferWhateverTheScores) {
  constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
  const std::array<float, 4> scores{kNone, kNone, -INFINITY, kNone};
  std::array<float, 8> route{};
  route_row({.experts = 4, .used = 4, .normalized = true}, scores.data(), nullptr, route.data());
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(route[i], static_cast<float>(i));
}

}  // namespace
}  // namespace tern
