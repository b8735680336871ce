// The scheduler's guess of a step's time: from rates, and rates from steps.
#include "engine/scheduler/step_cost.h"

#include <gtest/gtest.h>

#include <algorithm>

#include <cmath>

#include "engine/simulate/draws.h"

namespace tern {
namespace {

StepShape random_step(Draws& draw) {
  StepShape shape;
  for (int64_t i = draw.below(16); i-- > 0;) shape.add(1, draw.below(2000), true);
  if (draw.chance(0.4) || shape.tokens == 0) shape.add(1 + draw.below(256), draw.below(1000), draw.chance(0.5));
  return shape;
}

TEST(StepCost, CountsTokensRowsAndPairs) {
  StepShape shape;
  shape.add(3, 10, true);
  shape.add(1, 5, false);
  EXPECT_EQ(shape.tokens, 4);
  EXPECT_EQ(shape.rows, 1);
  EXPECT_EQ(shape.pairs, 11 + 12 + 13 + 6);
  EXPECT_EQ((StepCost{100, 10, 5, 1}.predict_ns(shape)), 100 + 40 + 5 + 42);
}

TEST(StepCost, FitsAsManyTokensAsTheTimeAllows) {
  const StepCost cost{1000, 10, 0, 0};
  EXPECT_EQ(cost.tokens_within({}, 500, 0, 2000), 100);
  EXPECT_EQ(cost.tokens_within({}, 50, 0, 2000), 50);
  EXPECT_EQ(cost.tokens_within({}, 50, 0, 900), 0);
  const StepCost with_pairs{0, 0, 0, 1};
  const int64_t fits = with_pairs.tokens_within({}, 1000, 100, 5000);
  EXPECT_LE(fits * 100 + fits * (fits + 1) / 2, 5000);
  EXPECT_GT((fits + 1) * 100 + (fits + 1) * (fits + 2) / 2, 5000);
}

TEST(StepCostFit, RecoversRatesFromNoisySteps) {
  const StepCost truth{2e6, 30e3, 100e3, 8};
  StepCostFit fit;
  EXPECT_FALSE(fit.cost().known());
  Draws draw(7);
  for (int i = 0; i < 400; ++i) {
    const StepShape shape = random_step(draw);
    fit.observe(shape, truth.predict_ns(shape) * (0.95 + 0.1 * draw.unit()));
  }
  double worst = 0;
  for (int i = 0; i < 200; ++i) {
    const StepShape shape = random_step(draw);
    worst = std::max(worst, std::abs(fit.cost().predict_ns(shape) / truth.predict_ns(shape) - 1));
  }
  EXPECT_LT(worst, 0.08);
}

TEST(StepCostFit, FollowsAMachineThatBecomesSlower) {
  const StepCost before{1e6, 20e3, 50e3, 5}, after{3e6, 60e3, 150e3, 15};
  StepCostFit fit;
  Draws draw(8);
  StepShape shape;
  for (int i = 0; i < 1500; ++i) {
    shape = random_step(draw);
    fit.observe(shape, (i < 500 ? before : after).predict_ns(shape));
  }
  EXPECT_NEAR(fit.cost().predict_ns(shape) / after.predict_ns(shape), 1, 0.05);
}

// Hours of nothing but single tokens must leave it finite, and quick to learn what a prompt costs.
TEST(StepCostFit, SurvivesASteadyDiet) {
  const StepCost truth{2e6, 30e3, 100e3, 8};
  StepCostFit fit;
  Draws draw(9);
  StepShape one;
  one.add(1, 100, true);
  for (int i = 0; i < 200000; ++i) fit.observe(one, truth.predict_ns(one) * (0.95 + 0.1 * draw.unit()));
  EXPECT_NEAR(fit.cost().predict_ns(one) / truth.predict_ns(one), 1, 0.1);
  for (int i = 0; i < 300; ++i) {
    const StepShape shape = random_step(draw);
    fit.observe(shape, truth.predict_ns(shape));
  }
  const StepShape shape = random_step(draw);
  EXPECT_NEAR(fit.cost().predict_ns(shape) / truth.predict_ns(shape), 1, 0.05);
}

}  // namespace
}  // namespace tern
