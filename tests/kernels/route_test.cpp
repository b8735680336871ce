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
  route_row({.experts = 5, .used = 3, .normalized = true}, scores.data(), route.data());
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
  route_row({.experts = 3, .used = 1, .normalized = false}, scores.data(), route.data());
  EXPECT_EQ(route[0], 2);
  EXPECT_NEAR(route[1], 5.0 / 8.0, 1e-6);
}

// The step has room for each token once an expert.
TEST(Route, ExpertsDifferWhateverTheScores) {
  constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
  const std::array<float, 4> scores{kNone, kNone, -INFINITY, kNone};
  std::array<float, 8> route{};
  route_row({.experts = 4, .used = 4, .normalized = true}, scores.data(), route.data());
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(route[i], static_cast<float>(i));
}

}  // namespace
}  // namespace tern
