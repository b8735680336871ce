#include "cli/bench_serve_report.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numeric>

namespace tern {
namespace {

struct MetricRow {
  const char *key, *name, *header;
};
constexpr MetricRow kMetrics[] = {
    {"ttft", "TTFT", "Time to First Token"},
    {"tpot", "TPOT", "Time per Output Token (excl. 1st token)"},
    {"itl", "ITL", "Inter-token Latency"},
    {"e2el", "E2EL", "End-to-end Latency"},
    {"client_queue_time", "Client Queue Time", "Client-side Queueing"},
};

LatencySummary summary_of(std::vector<double> seconds, const std::vector<double>& percents) {
  LatencySummary out;
  std::sort(seconds.begin(), seconds.end());
  const auto count = static_cast<double>(std::max<size_t>(seconds.size(), 1));
  const double mean = std::accumulate(seconds.begin(), seconds.end(), 0.0) / count;
  double squares = 0;
  for (const double s : seconds) squares += (s - mean) * (s - mean);
  out.mean_ms = mean * 1e3;
  out.std_ms = std::sqrt(squares / count) * 1e3;
  out.median_ms = percentile(seconds, 50) * 1e3;
  for (const double percent : percents) out.percentiles_ms.push_back(percentile(seconds, percent) * 1e3);
  return out;
}

// Time for each token after the first; 0 where there is none, which counts for goodput only.
double tpot_s(const RequestRecord& record) {
  if (record.output_tokens < 2) return 0;
  return (record.latency_s() - record.ttft_s()) / static_cast<double>(record.output_tokens - 1);
}

bool meets(const RequestRecord& record, const std::map<std::string, double>& goals_ms) {
  return std::all_of(goals_ms.begin(), goals_ms.end(), [&](const auto& goal) {
    const double seconds = goal.first == "ttft"   ? record.ttft_s()
                           : goal.first == "tpot" ? tpot_s(record)
                                                  : record.latency_s();
    return seconds * 1e3 <= goal.second;
  });
}

// Pieces of text a second, by whole seconds from the first request on; the fullest.
double peak_output(const LoadResult& result) {
  int64_t origin = INT64_MAX;
  for (const RequestRecord& record : result.records) {
    if (record.success()) origin = std::min(origin, record.start_ns);
  }
  std::vector<int64_t> seconds;
  const auto count = [&](double at) {
    const auto bucket = static_cast<size_t>(std::max(at, 0.0));
    if (bucket >= seconds.size()) seconds.resize(bucket + 1);
    ++seconds[bucket];
  };
  for (const RequestRecord& record : result.records) {
    if (!record.success()) continue;
    double at = static_cast<double>(record.first_ns - origin) / 1e9;
    count(at);
    for (const float gap : record.gaps_s) count(at += static_cast<double>(gap));
  }
  return seconds.empty() ? 0 : static_cast<double>(*std::max_element(seconds.begin(), seconds.end()));
}

int64_t peak_concurrent(const LoadResult& result) {
  std::vector<std::pair<int64_t, int>> changes;  // an end comes before a start at the same time
  for (const RequestRecord& record : result.records) {
    if (!record.success()) continue;
    changes.emplace_back(record.start_ns, 1);
    changes.emplace_back(record.last_ns, -1);
  }
  std::sort(changes.begin(), changes.end());
  int64_t now = 0, peak = 0;
  for (const auto& [at, change] : changes) peak = std::max(peak, now += change);
  return peak;
}

std::string percent_name(double percent) {
  return percent == std::floor(percent) ? fmt::format("{}", static_cast<int64_t>(percent)) : fmt::format("{}", percent);
}

template <typename T>
void line(std::string& out, const std::string& label, T value) {
  if constexpr (std::is_integral_v<T>) {
    fmt::format_to(std::back_inserter(out), "{:<40} {:<10}\n", label, value);
  } else {
    fmt::format_to(std::back_inserter(out), "{:<40} {:<10.2f}\n", label, value);
  }
}

bool wanted(const ReportOptions& options, const char* metric) {
  return std::find(options.metrics.begin(), options.metrics.end(), metric) != options.metrics.end();
}

}  // namespace

double percentile(std::span<const double> sorted, double percent) {
  if (sorted.empty()) return 0;
  const double place = percent / 100 * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(std::floor(place));
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - std::floor(place)) * (sorted[above] - sorted[below]);
}

LoadReport summarize(const LoadResult& result, const ReportOptions& options) {
  LoadReport report;
  report.duration_s = result.duration_s;
  report.client_cpu_s = result.cpu_s;
  std::map<std::string, std::vector<double>> seconds;
  int64_t good = 0;
  for (const RequestRecord& record : result.records) {
    if (!record.success()) {
      ++report.failed;
      ++report.failures[record.error];
      continue;
    }
    ++report.completed;
    report.total_input += record.prompt_tokens;
    report.total_output += record.output_tokens;
    report.cached_input += record.cached_tokens;
    if (meets(record, options.goodput_ms)) ++good;
    seconds["ttft"].push_back(record.ttft_s());
    if (record.output_tokens > 1) seconds["tpot"].push_back(tpot_s(record));
    for (const float gap : record.gaps_s) seconds["itl"].push_back(static_cast<double>(gap));
    seconds["e2el"].push_back(record.latency_s());
    seconds["client_queue_time"].push_back(record.queue_s());
  }
  const double duration = std::max(result.duration_s, 1e-9);
  report.request_throughput = static_cast<double>(report.completed) / duration;
  report.request_goodput = static_cast<double>(good) / duration;
  report.output_throughput = static_cast<double>(report.total_output) / duration;
  report.total_throughput = static_cast<double>(report.total_input + report.total_output) / duration;
  report.peak_output = peak_output(result);
  report.peak_concurrent = peak_concurrent(result);
  for (const MetricRow& row : kMetrics) {
    report.latencies[row.key] = summary_of(std::move(seconds[row.key]), options.percentiles);
  }
  return report;
}

std::string to_text(const LoadReport& report, const ReportOptions& options) {
  std::string out = fmt::format("{:=^50}\n", " Serving Benchmark Result ");
  line(out, "Successful requests:", report.completed);
  line(out, "Failed requests:", report.failed);
  if (options.max_concurrency > 0) line(out, "Maximum request concurrency:", options.max_concurrency);
  if (std::isfinite(options.request_rate)) line(out, "Request rate configured (RPS):", options.request_rate);
  line(out, "Benchmark duration (s):", report.duration_s);
  line(out, "Total input tokens:", report.total_input);
  line(out, "Total generated tokens:", report.total_output);
  line(out, "Request throughput (req/s):", report.request_throughput);
  if (!options.goodput_ms.empty()) line(out, "Request goodput (req/s):", report.request_goodput);
  line(out, "Output token throughput (tok/s):", report.output_throughput);
  line(out, "Peak output token throughput (tok/s):", report.peak_output);
  line(out, "Peak concurrent requests:", static_cast<double>(report.peak_concurrent));
  line(out, "Total token throughput (tok/s):", report.total_throughput);
  for (const MetricRow& row : kMetrics) {
    if (!wanted(options, row.key)) continue;
    const LatencySummary& latency = report.latencies.at(row.key);
    out += fmt::format("{:-^50}\n", row.header);
    line(out, fmt::format("Mean {} (ms):", row.name), latency.mean_ms);
    line(out, fmt::format("Median {} (ms):", row.name), latency.median_ms);
    for (size_t i = 0; i < options.percentiles.size(); ++i) {
      line(out, fmt::format("P{} {} (ms):", percent_name(options.percentiles[i]), row.name), latency.percentiles_ms[i]);
    }
  }
  return out + std::string(50, '=') + "\n";
}

// The keys of the file that vllm bench serve saves, and client_cpu_seconds, cached_input_tokens and failures.
nlohmann::ordered_json to_json(const LoadReport& report, const LoadResult& result, const ReportOptions& options) {
  using json = nlohmann::ordered_json;
  const bool endless = std::isinf(options.request_rate);
  json out{{"backend", options.backend}, {"label", options.label}, {"model_id", options.model}};
  out["num_prompts"] = result.records.size();
  out["request_rate"] = endless ? json("inf") : json(options.request_rate);
  out["burstiness"] = std::isinf(options.burstiness) ? json("inf") : json(options.burstiness);
  out["max_concurrency"] = options.max_concurrency > 0 ? json(options.max_concurrency) : json(nullptr);
  out["duration"] = report.duration_s;
  out["completed"] = report.completed;
  out["failed"] = report.failed;
  out["total_input_tokens"] = report.total_input;
  out["total_output_tokens"] = report.total_output;
  out["request_throughput"] = report.request_throughput;
  out["request_goodput"] = options.goodput_ms.empty() ? json(nullptr) : json(report.request_goodput);
  out["output_throughput"] = report.output_throughput;
  out["total_token_throughput"] = report.total_throughput;
  out["max_output_tokens_per_s"] = report.peak_output;
  out["max_concurrent_requests"] = report.peak_concurrent;
  for (const MetricRow& row : kMetrics) {
    if (!wanted(options, row.key)) continue;
    const LatencySummary& latency = report.latencies.at(row.key);
    out[fmt::format("mean_{}_ms", row.key)] = latency.mean_ms;
    out[fmt::format("median_{}_ms", row.key)] = latency.median_ms;
    out[fmt::format("std_{}_ms", row.key)] = latency.std_ms;
    for (size_t i = 0; i < options.percentiles.size(); ++i) {
      out[fmt::format("p{}_{}_ms", percent_name(options.percentiles[i]), row.key)] = latency.percentiles_ms[i];
    }
  }
  out["client_cpu_seconds"] = report.client_cpu_s;
  out["cached_input_tokens"] = report.cached_input;
  out["failures"] = report.failures;
  if (!options.detailed) return out;
  for (const RequestRecord& record : result.records) {
    const bool good = record.success();
    out["input_lens"].push_back(record.prompt_tokens);
    out["output_lens"].push_back(good ? record.output_tokens : 0);
    out["cached_lens"].push_back(record.cached_tokens);
    out["ttfts"].push_back(good ? record.ttft_s() : 0);
    out["itls"].push_back(record.gaps_s);
    out["latencies"].push_back(good ? record.latency_s() : 0);
    out["start_times"].push_back(record.start_ns > 0 ? static_cast<double>(record.start_ns - result.start_ns) / 1e9
                                                     : 0);
    out["queue_times"].push_back(good ? record.queue_s() : 0);
    out["generated_texts"].push_back(record.text);
    out["errors"].push_back(record.error);
  }
  return out;
}

}  // namespace tern
