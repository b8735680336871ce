#include "cli/bench_serve_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "cli/bench_serve_prompts.h"
#include "core/error.h"

namespace tern {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::vector<double> samples(const std::string& text, size_t count = 20'000) {
  const LengthDistribution lengths = LengthDistribution::parse(text, "--input-lengths");
  std::vector<double> out;
  for (size_t i = 0; i < count; ++i) out.push_back(static_cast<double>(lengths.sample(7, i)));
  std::sort(out.begin(), out.end());
  return out;
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

TEST(LengthDistribution, Fixed) {
  EXPECT_EQ(samples("256", 100), std::vector<double>(100, 256));
  EXPECT_EQ(samples("fixed:3", 10), std::vector<double>(10, 3));
}

TEST(LengthDistribution, UniformReachesBothEnds) {
  const auto all = samples("uniform:64:512");
  EXPECT_EQ(all.front(), 64);
  EXPECT_EQ(all.back(), 512);
  EXPECT_NEAR(mean(all), 288, 3);
}

TEST(LengthDistribution, LogUniformHasTheGeometricMeanInTheMiddle) {
  const auto all = samples("loguniform:10:1000");
  EXPECT_GE(all.front(), 10);
  EXPECT_LE(all.back(), 1000);
  EXPECT_NEAR(all[all.size() / 2], 100, 5);
}

TEST(LengthDistribution, LogNormalHasItsMedianAndSpreadAndEnd) {
  const auto all = samples("lognormal:200:0.5:900");
  EXPECT_EQ(all.back(), 900);
  EXPECT_NEAR(all[all.size() / 2], 200, 4);
  EXPECT_NEAR(all[all.size() * 8413 / 10000], 200 * std::exp(0.5), 10);  // one sigma
}

TEST(LengthDistribution, RangeRatioIsAsInVllm) {
  const LengthDistribution lengths = LengthDistribution::around(100, 0.25);
  int64_t low = 1000, high = 0;
  for (uint64_t i = 0; i < 5000; ++i) {
    low = std::min(low, lengths.sample(1, i));
    high = std::max(high, lengths.sample(1, i));
  }
  EXPECT_EQ(low, 75);
  EXPECT_EQ(high, 125);
  EXPECT_EQ(LengthDistribution::around(100, 1).sample(3, 4), LengthDistribution::around(100, 1).sample(3, 4));
}

TEST(LengthDistribution, RefusesWhatIsNone) {
  for (const char* text : {"", "0", "-4", "abc", "uniform:5", "uniform:9:5", "uniform:0:5", "loguniform:1:2:3",
                           "lognormal:5:1", "normal:5:1:9", "uniform:1:1e99", "uniform:1:nan", "uniform::5", "64:"}) {
    EXPECT_THROW(LengthDistribution::parse(text, "--x"), Error) << text;
  }
}

// The squared coefficient of variation of the intervals: 1 / shape for a gamma distribution.
double variation(const std::vector<double>& times) {
  double sum = 0, squares = 0, before = 0;
  for (const double time : times) {
    sum += time - before;
    squares += (time - before) * (time - before);
    before = time;
  }
  const auto n = static_cast<double>(times.size());
  return squares / n / (sum / n * sum / n) - 1;
}

TEST(ArrivalTimes, HaveTheRateAndTheBurstiness) {
  for (const double burstiness : {0.25, 1.0, 4.0}) {
    const auto times = arrival_times(40'000, 5, burstiness, 3);
    EXPECT_TRUE(std::is_sorted(times.begin(), times.end()));
    EXPECT_NEAR(times.back(), 8'000, 1e-6);
    EXPECT_NEAR(times[20'000], 4'000, 80) << burstiness;
    EXPECT_NEAR(variation(times), 1 / burstiness, 0.08 / burstiness) << burstiness;
  }
}

// Of a Poisson process's intervals, e^-2 are longer than twice their mean.
TEST(ArrivalTimes, PoissonIntervalsAreExponential) {
  const auto times = arrival_times(40'000, 1, 1, 11);
  size_t longer = 0;
  for (size_t i = 1; i < times.size(); ++i) longer += times[i] - times[i - 1] > 2 ? 1 : 0;
  EXPECT_NEAR(static_cast<double>(longer) / 40'000, std::exp(-2.0), 0.006);
}

TEST(ArrivalTimes, AreRepeatableAndDifferBySeed) {
  EXPECT_EQ(arrival_times(100, 2, 0.5, 1), arrival_times(100, 2, 0.5, 1));
  EXPECT_NE(arrival_times(100, 2, 0.5, 1), arrival_times(100, 2, 0.5, 2));
}

TEST(ArrivalTimes, AllAtOnceAndEvenly) {
  EXPECT_EQ(arrival_times(3, kInfinity, 1, 0), (std::vector<double>{0, 0, 0}));
  EXPECT_EQ(arrival_times(4, 2, kInfinity, 0), (std::vector<double>{0.5, 1, 1.5, 2}));
  EXPECT_TRUE(arrival_times(0, 2, 1, 0).empty());
}

TEST(Trace, ReadsLines) {
  const auto lines =
      parse_trace("{\"in\": 5, \"out\": 6, \"at\": 0}\n\n {\"at\": 1.5, \"in\": 7, \"out\": 8, \"x\": 1}", "f");
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].input_tokens, 5);
  EXPECT_EQ(lines[1].output_tokens, 8);
  EXPECT_EQ(lines[1].at_s, 1.5);
}

TEST(Trace, RefusesWhatIsNone) {
  for (const char* text : {"", "\n\n", "[1]", "{\"in\": 1}", "{\"in\": 0, \"out\": 1}", "{\"in\": 1.5, \"out\": 1}",
                           "{\"in\": 1, \"out\": 1, \"at\": -1}", "{\"in\": 1, \"out\": 1, \"at\": \"x\"}",
                           "{\"in\": 1, \"out\": 1}\n{\"in\": 1, \"out\": 1, \"at\": 3}",
                           "{\"in\": 1, \"out\": 1, \"at\": 3}\n{\"in\": 1, \"out\": 1, \"at\": 2}", "{\"in\": 1,"}) {
    EXPECT_THROW(parse_trace(text, "f"), Error) << text;
  }
}

TEST(Plan, FollowsATraceAndItsTimes) {
  PlanOptions options;
  options.trace = {{3, 4, {}}, {5, 6, {}}};
  EXPECT_EQ(plan_requests(options).size(), 2u);
  options.num_prompts = 5;
  const auto repeated = plan_requests(options);
  ASSERT_EQ(repeated.size(), 5u);
  EXPECT_EQ(repeated[4].input_tokens, 3);
  EXPECT_EQ(repeated[3].output_tokens, 6);
  options.trace = {{3, 4, 0.0}, {5, 6, 2.5}};
  const auto timed = plan_requests(options);
  ASSERT_EQ(timed.size(), 2u) << "times are not repeated";
  EXPECT_EQ(timed[1].at_s, 2.5);
}

TEST(Plan, ConversationsTakeTurns) {
  PlanOptions options;
  options.num_prompts = 7;
  options.conversations = 3;
  options.prefixes = 2;
  options.request_rate = 1;
  const auto plan = plan_requests(options);
  std::vector<int64_t> conversations, next, groups;
  for (const PlannedRequest& request : plan) {
    conversations.push_back(request.conversation);
    next.push_back(request.next_turn);
    groups.push_back(request.prefix_group);
  }
  EXPECT_EQ(conversations, (std::vector<int64_t>{0, 1, 2, 0, 1, 2, 0}));
  EXPECT_EQ(next, (std::vector<int64_t>{3, 4, 5, 6, -1, -1, -1}));
  EXPECT_EQ(groups, (std::vector<int64_t>{0, 1, 0, 0, 1, 0, 0}));
  EXPECT_TRUE(plan[2].first_turn);
  EXPECT_FALSE(plan[3].first_turn);
  EXPECT_NEAR(plan[2].at_s, 3, 1e-9);
}

TEST(Prompts, HaveTheWantedWordsAndRepeat) {
  EXPECT_EQ(random_words(1, 5), random_words(1, 5));
  EXPECT_NE(random_words(1, 5), random_words(2, 5));
  const std::string words = random_words(9, 1000);
  EXPECT_EQ(std::count(words.begin(), words.end(), ' '), 1000);
  EXPECT_EQ(words.find("  "), std::string::npos);
  EXPECT_EQ(random_words(1, 0), "");
}

TEST(Prompts, AreCorrectedByTheServersCount) {
  const TokenRate exact = TokenRate::of(64, 65, 320, 321);
  EXPECT_EQ(exact.per_word, 1);
  EXPECT_EQ(exact.fixed, 1);
  EXPECT_EQ(exact.words(100, true), 99);
  EXPECT_EQ(exact.words(100, false), 100);
  const TokenRate two = TokenRate::of(64, 64 * 2 + 30, 320, 320 * 2 + 30);
  EXPECT_EQ(two.words(230, true), 100);
  EXPECT_EQ(two.words(4, true), 1) << "never empty";
  const TokenRate none = TokenRate::of(64, 0, 320, 0);
  EXPECT_EQ(none.words(100, true), 100) << "a server that does not count";
}

TEST(Prompts, SharePrefixesWithinAGroup) {
  const PromptMaker prompts(1, {}, 50);
  PlannedRequest request{.input_tokens = 10};
  const std::string prefix = prompts.prompt(request, 0).substr(0, random_words(0, 50).size() / 2);
  EXPECT_EQ(prompts.prompt(request, 1).rfind(prefix, 0), 0u);
  EXPECT_NE(prompts.prompt(request, 1), prompts.prompt(request, 0));
  request.prefix_group = 1;
  EXPECT_NE(prompts.prompt(request, 2).rfind(prefix, 0), 0u);
  request.first_turn = false;
  const std::string later = prompts.prompt(request, 3);
  EXPECT_EQ(std::count(later.begin(), later.end(), ' '), 10);
}

}  // namespace
}  // namespace tern
