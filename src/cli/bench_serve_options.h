// The command line of tern bench serve, in vllm bench serve's names, and what it means for target, plan and report.
#pragma once

#include <CLI/CLI.hpp>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/bench_serve_plan.h"
#include "cli/bench_serve_report.h"
#include "cli/bench_serve_run.h"

namespace tern {

struct BenchServeOptions {
  // The server.
  std::string base_url, host = "127.0.0.1", endpoint = "/v1/completions", model, api_key;
  uint16_t port = 8000;
  double ready_timeout_s = 60, silence_s = 600;
  // The requests.
  std::optional<size_t> num_prompts;
  int64_t input_len = 1024, output_len = 128, prefix_len = 0;
  double range_ratio = 0;
  size_t prefixes = 1, conversations = 0, warmups = 0;
  std::string input_lengths, output_lengths;
  bool ignore_eos = false;
  std::optional<double> temperature;
  std::string extra_body;
  // When they come.
  double request_rate = std::numeric_limits<double>::infinity(), burstiness = 1;
  size_t max_concurrency = 0;
  uint64_t seed = 0;
  // What is said of them.
  std::vector<std::string> goodput;
  std::string metrics = "ttft,tpot,itl", percentiles = "99", label;
  bool json = false, save_result = false, save_detailed = false;
  std::string result_dir, result_filename;

  void add(CLI::App& app);
  LoadTarget target() const;
  PlanOptions plan() const;
  ReportOptions report() const;  // `model` is filled in by then
};

// "ttft:500" ... -> milliseconds by metric; throws a bad-input line.
std::map<std::string, double> parse_goodput(const std::vector<std::string>& pairs);
// "ttft,tpot" and "50,99.9"; throw a bad-input line.
std::vector<std::string> parse_metrics(const std::string& list);
std::vector<double> parse_percentiles(const std::string& list);

}  // namespace tern
