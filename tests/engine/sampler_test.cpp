// Samplers against a sorted oracle and against the distribution they promise.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "core/rng.h"
#include "engine/sampler.h"

namespace tern {
namespace {

std::vector<float> random_logits(size_t n, uint64_t seed, bool coarse) {
  std::vector<float> logits(n);
  for (size_t i = 0; i < n; ++i) {
    const double u = random_unit(seed, i) * 12 - 6;
    logits[i] = coarse ? static_cast<float>(std::round(u)) : static_cast<float>(u);  // coarse: many ties
  }
  return logits;
}

// The set that the filters must keep, by sorting everything, in doubles.
std::set<int32_t> kept_by_sorting(const std::vector<float>& logits, const SamplingParams& p) {
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto scaled = [&](int32_t id) { return logits[static_cast<size_t>(id)] * (1.0f / p.temperature); };
  std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) { return scaled(a) > scaled(b); });
  const float best = scaled(ids[0]);
  if (p.min_p > 0) std::erase_if(ids, [&](int32_t id) { return scaled(id) < best + std::log(p.min_p); });
  if (p.top_k > 0 && ids.size() > static_cast<size_t>(p.top_k)) ids.resize(static_cast<size_t>(p.top_k));
  if (p.top_p < 1) {
    double total = 0, sum = 0;
    for (int32_t id : ids) total += std::exp(static_cast<double>(scaled(id) - best));
    size_t kept = 0;
    while (kept < ids.size()) {
      sum += std::exp(static_cast<double>(scaled(ids[kept++]) - best));
      if (sum >= static_cast<double>(p.top_p) * total) break;
    }
    ids.resize(kept);
  }
  return {ids.begin(), ids.end()};
}

TEST(Sampler, DrawsFromExactlyTheSetThatSortingKeeps) {
  Sampler sampler;
  for (uint64_t trial = 0; trial < 300; ++trial) {
    const std::vector<float> logits = random_logits(40, trial, trial % 2 == 0);
    SamplingParams p;
    p.temperature = 0.5f + 0.25f * static_cast<float>(trial % 7);
    p.top_k = static_cast<int32_t>(trial % 9) * 3;
    p.top_p = trial % 3 == 0 ? 1.0f : 0.3f + 0.1f * static_cast<float>(trial % 6);
    p.min_p = trial % 4 == 0 ? 0.0f : 0.02f * static_cast<float>(trial % 5);
    const std::set<int32_t> allowed = kept_by_sorting(logits, p);
    for (uint64_t draw = 0; draw < 60; ++draw) {
      p.seed = draw;
      EXPECT_TRUE(allowed.contains(sampler.sample(logits, p, {}, {}))) << trial;
    }
  }
}

// A vocabulary of many blocks, peaked and flat: what is skipped must not have mattered.
TEST(Sampler, LargeRowsKeepExactlyTheSetThatSortingKeeps) {
  Sampler sampler;
  for (uint64_t trial = 0; trial < 60; ++trial) {
    std::vector<float> logits = random_logits(5000 + trial * 37, trial, trial % 5 == 0);
    if (trial % 3 == 0) {
      for (size_t i = 0; i < logits.size(); ++i) logits[i] *= 3;
    }
    SamplingParams p;
    p.temperature = 0.3f + 0.3f * static_cast<float>(trial % 5);
    p.top_k = trial % 4 == 0 ? 40 : 0;
    p.top_p = trial % 4 == 1 ? 1.0f : 0.2f + 0.15f * static_cast<float>(trial % 6);
    p.min_p = trial % 4 == 2 ? 0.01f : 0.0f;
    const std::set<int32_t> allowed = kept_by_sorting(logits, p);
    std::set<int32_t> drawn;
    for (uint64_t draw = 0; draw < 300; ++draw) {
      p.seed = draw;
      const int32_t token = sampler.sample(logits, p, {}, {});
      ASSERT_TRUE(allowed.contains(token)) << trial << ": " << token;
      drawn.insert(token);
    }
    if (allowed.size() < 8) {
      EXPECT_EQ(drawn, allowed) << trial;
    }
  }
}

// Draws from the whole row (block, then column) against the softmax: chi-square over groups of equal probability.
TEST(Sampler, DrawsFromALargeRowFollowTheSoftmax) {
  constexpr size_t kColumns = 3000, kGroups = 30;
  constexpr int kDraws = 60'000;
  const std::vector<float> logits = random_logits(kColumns, 9, false);
  std::vector<double> expected(kGroups, 0);
  double total = 0;
  for (size_t i = 0; i < kColumns; ++i) {
    const double weight = std::exp(static_cast<double>(logits[i]) / 1.3);
    expected[i % kGroups] += weight;
    total += weight;
  }
  Sampler sampler;
  SamplingParams p;
  p.temperature = 1.3f;
  std::vector<int> seen(kGroups, 0);
  for (int draw = 0; draw < kDraws; ++draw) {
    p.seed = static_cast<uint64_t>(draw);
    ++seen[static_cast<size_t>(sampler.sample(logits, p, {}, {})) % kGroups];
  }
  double chi = 0;
  for (size_t g = 0; g < kGroups; ++g) {
    const double wanted = expected[g] / total * kDraws;
    chi += (seen[g] - wanted) * (seen[g] - wanted) / wanted;
  }
  EXPECT_LT(chi, 58.3);  // p = 0.001 at 29 degrees of freedom
}

TEST(Sampler, AMaskedTokenIsNeverDrawn) {
  std::vector<float> logits(1000, -std::numeric_limits<float>::infinity());
  logits[17] = 1.0f;
  logits[900] = -30.0f;
  Sampler sampler;
  SamplingParams p;
  p.temperature = 50;
  for (uint64_t draw = 0; draw < 2000; ++draw) {
    p.seed = draw;
    const int32_t token = sampler.sample(logits, p, {}, {});
    ASSERT_TRUE(token == 17 || token == 900) << token;
  }
}

TEST(Sampler, DrawsFollowTheSoftmax) {
  Sampler sampler;
  const std::vector<float> logits{0.0f, 1.0f, 2.0f, -1.0f};
  constexpr int kDraws = 40'000;
  std::map<int32_t, int> counts;
  SamplingParams p;
  for (int i = 0; i < kDraws; ++i) {
    p.seed = static_cast<uint64_t>(i);
    ++counts[sampler.sample(logits, p, {}, {})];
  }
  double total = 0, chi_square = 0;
  for (float logit : logits) total += std::exp(static_cast<double>(logit));
  for (int32_t id = 0; id < 4; ++id) {
    const double expected = kDraws * std::exp(static_cast<double>(logits[static_cast<size_t>(id)])) / total;
    chi_square += (counts[id] - expected) * (counts[id] - expected) / expected;
  }
  EXPECT_LT(chi_square, 16.27);  // 3 degrees of freedom, p = 0.001
}

TEST(Sampler, GreedyTakesTheLowestIdAmongEquals) {
  Sampler sampler;
  SamplingParams p;
  p.temperature = 0;
  EXPECT_EQ(sampler.sample(std::vector<float>{1, 3, 3, 2}, p, {}, {}), 1);
}

TEST(Sampler, TinyTemperaturesAreGreedy) {
  Sampler sampler;
  SamplingParams p;
  p.temperature = 1e-44f;
  EXPECT_EQ(sampler.sample(std::vector<float>{1, 3, 2}, p, {}, {}), 1);
}

TEST(Sampler, TheSameSeedAndPlaceGiveTheSameToken) {
  Sampler a, b;
  const std::vector<float> logits = random_logits(1000, 5, false);
  SamplingParams p;
  p.seed = 99;
  const std::vector<int32_t> answer{1, 2, 3};
  EXPECT_EQ(a.sample(logits, p, {}, answer), b.sample(logits, p, {}, answer));
}

TEST(Sampler, PenaltiesFollowTheirFormulas) {
  Sampler sampler;
  SamplingParams p;
  p.temperature = 0;
  const std::vector<int32_t> prompt{0}, answer{1, 1};
  // Token 1 was drawn twice: 5 - (presence 1 + 2 * frequency 0.6) = 2.8 < token 2's 3.
  p.presence_penalty = 1;
  p.frequency_penalty = 0.6f;
  EXPECT_EQ(sampler.sample(std::vector<float>{2.9f, 5, 3}, p, prompt, answer), 2);
  // Presence and frequency do not touch the prompt's tokens.
  EXPECT_EQ(sampler.sample(std::vector<float>{3.1f, 5, 3}, p, prompt, answer), 0);
  // Repetition divides positive and multiplies negative logits, of the prompt too.
  SamplingParams repetition;
  repetition.temperature = 0;
  repetition.repetition_penalty = 2;
  EXPECT_EQ(sampler.sample(std::vector<float>{4, 4, 2.1f}, repetition, prompt, answer), 2);
  EXPECT_EQ(sampler.sample(std::vector<float>{-1, -3, -1.9f}, repetition, prompt, {}), 2);
  // The counts are clean again for the next call.
  EXPECT_EQ(sampler.sample(std::vector<float>{4, 3, 2.1f}, repetition, {}, {}), 0);
}

TEST(Sampler, LogitBiasIsAddedToTheRawLogits) {
  Sampler sampler;
  SamplingParams p;
  p.temperature = 0;
  p.logit_bias = {{2, 10.0f}};
  EXPECT_EQ(sampler.sample(std::vector<float>{4, 3, 0}, p, {}, {}), 2);
}

TEST(Sampler, NanAndNothingFiniteHaveNoToken) {
  Sampler sampler;
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  SamplingParams p;
  EXPECT_EQ(sampler.sample(std::vector<float>{1, nan, 2}, p, {}, {}), -1);
  EXPECT_EQ(sampler.sample(std::vector<float>{-inf, -inf}, p, {}, {}), -1);
  EXPECT_EQ(sampler.sample(std::vector<float>{1, inf}, p, {}, {}), -1);
}

TEST(LogProbabilities, AreTheLogSoftmaxWithTiesById) {
  const std::vector<float> logits{1, 3, 3, 0};
  const TokenLogprobs out = Sampler().log_probabilities(logits, 0, 3);
  double sum = 0;
  for (float logit : logits) sum += std::exp(static_cast<double>(logit));
  EXPECT_NEAR(out.logprob, 1 - std::log(sum), 1e-6);
  ASSERT_EQ(out.top.size(), 3u);
  EXPECT_EQ(out.top[0].first, 1);
  EXPECT_EQ(out.top[1].first, 2);
  EXPECT_EQ(out.top[2].first, 0);
}

// The maxima that a runner makes beside the logits change nothing.
TEST(Sampler, KnownMaximaGiveTheSameTokens) {
  std::vector<float> logits(1000);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i * 7919 % 1000) / 100;
  std::vector<float> maxima(RowScan::blocks(logits.size()));
  RowScan(KernelSelection()).maxima(logits, maxima);
  Sampler scans, knows;
  knows.reserve(logits.size());
  for (const auto& [temperature, top_k, penalty] : {std::tuple{0.0f, 0, 1.0f}, {0.8f, 0, 1.0f}, {0.8f, 5, 1.3f}}) {
    SamplingParams p;
    p.temperature = temperature;
    p.top_k = top_k;
    p.repetition_penalty = penalty;
    for (p.seed = 0; p.seed < 20; ++p.seed) {
      EXPECT_EQ(scans.sample(logits, p, {}, {}), knows.sample(logits, p, {}, {}, maxima));
    }
  }
  EXPECT_EQ(scans.log_probabilities(logits, 3, 4).top, knows.log_probabilities(logits, 3, 4, maxima).top);
}

}  // namespace
}  // namespace tern
