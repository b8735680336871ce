// What vllm bench serve prints and saves, from the records of a run: the same lines, the same keys. Pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "cli/bench_serve_run.h"

namespace tern {

// What the command line says of the report.
struct ReportOptions {
  std::vector<std::string> metrics{"ttft", "tpot", "itl"};  // of ttft, tpot, itl, e2el, client_queue_time
  std::vector<double> percentiles{99};
  std::map<std::string, double> goodput_ms;  // ttft, tpot, e2el: at most
  double request_rate = 0;                   // infinite: not printed
  double burstiness = 1;
  size_t max_concurrency = 0;  // 0: not printed
  std::string backend = "openai", label, model;
  bool detailed = false;  // every request's numbers in the JSON
};

struct LatencySummary {
  double mean_ms = 0, median_ms = 0, std_ms = 0;
  std::vector<double> percentiles_ms;  // one for each of the options' percentiles
};

struct LoadReport {
  int64_t completed = 0, failed = 0, total_input = 0, total_output = 0, cached_input = 0;
  double duration_s = 0, request_throughput = 0, request_goodput = 0, output_throughput = 0, total_throughput = 0;
  double peak_output = 0;       // pieces of text in the best second
  int64_t peak_concurrent = 0;  // successful requests under way at once
  double client_cpu_s = 0;
  std::map<std::string, LatencySummary> latencies;  // by metric
  std::map<std::string, int64_t> failures;          // by reason
};

// Linear between the two nearest of `sorted`, as numpy does; 0 of nothing.
double percentile(std::span<const double> sorted, double percent);

LoadReport summarize(const LoadResult& result, const ReportOptions& options);
std::string to_text(const LoadReport& report, const ReportOptions& options);
nlohmann::ordered_json to_json(const LoadReport& report, const LoadResult& result, const ReportOptions& options);

}  // namespace tern
