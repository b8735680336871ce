#include "cli/bench_serve_report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "cli/bench_serve_options.h"
#include "core/error.h"

namespace tern {
namespace {

constexpr int64_t kMs = 1'000'000;

// Starts at `start_ms`, says a first piece after `ttft_ms`, then one after each gap.
RequestRecord answer(int64_t start_ms, int64_t ttft_ms, const std::vector<int64_t>& gaps_ms) {
  RequestRecord out;
  out.arrival_ns = out.start_ns = (1000 + start_ms) * kMs;
  out.first_ns = out.last_ns = out.start_ns + ttft_ms * kMs;
  for (const int64_t gap : gaps_ms) {
    out.gaps_s.push_back(static_cast<float>(gap) / 1000);
    out.last_ns += gap * kMs;
  }
  out.prompt_tokens = 10;
  out.output_tokens = static_cast<int64_t>(gaps_ms.size()) + 1;
  return out;
}

LoadResult three_and_a_failure() {
  LoadResult result;
  result.records = {answer(0, 100, {10, 20, 30}), answer(100, 300, {40}), answer(1200, 50, {}), {}};
  result.records[3].error = "HTTP 429: busy";
  result.start_ns = 1000 * kMs;
  result.duration_s = 2;
  return result;
}

ReportOptions endless() {
  ReportOptions options;
  options.request_rate = std::numeric_limits<double>::infinity();
  return options;
}

TEST(Percentile, IsLinearAsInNumpy) {
  const std::vector<double> values{1, 2, 4, 8};
  EXPECT_DOUBLE_EQ(percentile(values, 0), 1);
  EXPECT_DOUBLE_EQ(percentile(values, 50), 3);
  EXPECT_DOUBLE_EQ(percentile(values, 90), 6.8);
  EXPECT_DOUBLE_EQ(percentile(values, 99), 7.88);
  EXPECT_DOUBLE_EQ(percentile(values, 100), 8);
  EXPECT_DOUBLE_EQ(percentile(std::vector<double>{5}, 99), 5);
  EXPECT_DOUBLE_EQ(percentile({}, 50), 0);
}

TEST(Report, CountsAndRates) {
  const LoadReport report = summarize(three_and_a_failure(), endless());
  EXPECT_EQ(report.completed, 3);
  EXPECT_EQ(report.failed, 1);
  EXPECT_EQ(report.failures.at("HTTP 429: busy"), 1);
  EXPECT_EQ(report.total_input, 30);
  EXPECT_EQ(report.total_output, 7);
  EXPECT_DOUBLE_EQ(report.request_throughput, 1.5);
  EXPECT_DOUBLE_EQ(report.output_throughput, 3.5);
  EXPECT_DOUBLE_EQ(report.total_throughput, 18.5);
  EXPECT_EQ(report.peak_concurrent, 2);
  EXPECT_DOUBLE_EQ(report.peak_output, 6) << "all but the third answer in the first second";
}

TEST(Report, LatenciesAreVllms) {
  const LoadReport report = summarize(three_and_a_failure(), endless());
  const LatencySummary& ttft = report.latencies.at("ttft");
  EXPECT_NEAR(ttft.mean_ms, 150, 1e-9);
  EXPECT_NEAR(ttft.median_ms, 100, 1e-9);
  EXPECT_NEAR(ttft.percentiles_ms.at(0), 100 + 0.98 * 200, 1e-9);
  EXPECT_NEAR(ttft.std_ms, std::sqrt((2500.0 + 22500 + 10000) / 3), 1e-9);
  EXPECT_NEAR(report.latencies.at("tpot").mean_ms, (20.0 + 40) / 2, 1e-9) << "answers of one token have none";
  EXPECT_NEAR(report.latencies.at("itl").mean_ms, 25, 1e-4);
  EXPECT_NEAR(report.latencies.at("e2el").median_ms, 160, 1e-9);
}

TEST(Report, EndsBeforeStartsAtTheSameTime) {
  LoadResult result;
  result.records = {answer(0, 100, {}), answer(100, 100, {}), answer(200, 100, {})};
  EXPECT_EQ(summarize(result, endless()).peak_concurrent, 1);
}

TEST(Report, GoodputNeedsEveryGoal) {
  ReportOptions options = endless();
  const auto goodput = [&](const std::vector<std::string>& goals) {
    options.goodput_ms = parse_goodput(goals);
    return summarize(three_and_a_failure(), options).request_goodput * 2;
  };
  EXPECT_DOUBLE_EQ(goodput({"ttft:100"}), 2);
  EXPECT_DOUBLE_EQ(goodput({"tpot:20"}), 2) << "one token meets any tpot";
  EXPECT_DOUBLE_EQ(goodput({"ttft:60", "tpot:20"}), 1);
  EXPECT_DOUBLE_EQ(goodput({"e2el:340"}), 3);
}

TEST(Report, OfNothingIsZeros) {
  LoadResult result;
  result.records.resize(2);
  result.records[0].error = result.records[1].error = "connecting: Connection refused";
  const LoadReport report = summarize(result, endless());
  EXPECT_EQ(report.failed, 2);
  EXPECT_EQ(report.peak_output, 0);
  EXPECT_EQ(report.latencies.at("ttft").percentiles_ms.at(0), 0);
}

// Line for line what vllm bench serve prints of such a run.
TEST(Report, TextIsVllms) {
  ReportOptions options;
  options.request_rate = 2.5;
  options.max_concurrency = 16;
  options.goodput_ms = {{"ttft", 100}};
  options.metrics = {"ttft", "tpot", "itl", "e2el"};
  options.percentiles = {50, 99.9};
  const std::string text = to_text(summarize(three_and_a_failure(), options), options);
  const std::string head =
      "============ Serving Benchmark Result ============\n"
      "Successful requests:                     3         \n"
      "Failed requests:                         1         \n"
      "Maximum request concurrency:             16        \n"
      "Request rate configured (RPS):           2.50      \n"
      "Benchmark duration (s):                  2.00      \n"
      "Total input tokens:                      30        \n"
      "Total generated tokens:                  7         \n"
      "Request throughput (req/s):              1.50      \n"
      "Request goodput (req/s):                 1.00      \n"
      "Output token throughput (tok/s):         3.50      \n"
      "Peak output token throughput (tok/s):    6.00      \n"
      "Peak concurrent requests:                2.00      \n"
      "Total token throughput (tok/s):          18.50     \n"
      "---------------Time to First Token----------------\n"
      "Mean TTFT (ms):                          150.00    \n"
      "Median TTFT (ms):                        100.00    \n"
      "P50 TTFT (ms):                           100.00    \n"
      "P99.9 TTFT (ms):                         299.60    \n"
      "-----Time per Output Token (excl. 1st token)------\n";
  EXPECT_EQ(text.substr(0, head.size()), head);
  EXPECT_NE(text.find("\n---------------Inter-token Latency----------------\nMean ITL (ms):"), std::string::npos);
  EXPECT_NE(text.find("\n----------------End-to-end Latency----------------\nMean E2EL (ms):"), std::string::npos);
  EXPECT_EQ(text.substr(text.size() - 52), "\n" + std::string(50, '=') + "\n");
}

TEST(Report, JsonHasVllmsKeys) {
  const LoadResult result = three_and_a_failure();
  ReportOptions options = endless();
  const auto brief = to_json(summarize(result, options), result, options);
  EXPECT_EQ(brief["request_rate"], "inf");
  EXPECT_TRUE(brief["max_concurrency"].is_null());
  EXPECT_TRUE(brief["request_goodput"].is_null());
  EXPECT_FALSE(brief.contains("ttfts"));
  EXPECT_FALSE(brief.contains("mean_e2el_ms"));
  for (const char* key :
       {"duration", "completed", "failed", "total_input_tokens", "total_output_tokens", "request_throughput",
        "output_throughput", "total_token_throughput", "max_output_tokens_per_s", "max_concurrent_requests",
        "mean_ttft_ms", "median_tpot_ms", "std_itl_ms", "p99_itl_ms"}) {
    EXPECT_TRUE(brief[key].is_number()) << key;
  }
  options.detailed = true;
  const auto detailed = to_json(summarize(result, options), result, options);
  for (const char* key : {"input_lens", "output_lens", "ttfts", "itls", "latencies", "start_times", "queue_times",
                          "generated_texts", "errors"}) {
    EXPECT_EQ(detailed[key].size(), 4u) << key;
  }
  EXPECT_NEAR(detailed["start_times"][1].get<double>(), 0.1, 1e-9);
  EXPECT_EQ(detailed["itls"][0].size(), 3u);
}

TEST(Report, RefusesWrongLists) {
  for (const char* pair : {"ttft", "ttft:", "ttft:-1", "itl:5", ":5", "ttft:5x"})
    EXPECT_THROW(parse_goodput({pair}), Error) << pair;
  EXPECT_THROW(parse_metrics("ttft,xyz"), Error);
  EXPECT_THROW(parse_percentiles("50,101"), Error);
  EXPECT_THROW(parse_percentiles("fifty"), Error);
  EXPECT_EQ(parse_percentiles("50,99.9"), (std::vector<double>{50, 99.9}));
}

}  // namespace
}  // namespace tern
