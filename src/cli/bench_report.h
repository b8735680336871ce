// What tern bench measures, in llama-bench's columns and keys.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "api/model.h"

namespace tern {

// One test: a prompt of n_prompt tokens, or n_gen tokens one by one, behind n_depth tokens of history.
struct BenchResult {
  int threads = 0;
  int64_t n_prompt = 0, n_gen = 0, n_depth = 0;
  std::vector<int64_t> samples_ns;
  std::optional<double> joules;  // of all samples together

  int64_t tokens() const { return n_prompt + n_gen; }
  std::string test_name() const;  // "pp512", "tg128 @ d1024"
};

// llama-batched-bench: `sequences` prompts of n_prompt together, then n_gen tokens of each.
struct BatchedBenchResult {
  int threads = 0;
  int64_t n_prompt = 0, n_gen = 0, sequences = 0;
  double prompt_s = 0, gen_s = 0;
  std::optional<double> prompt_j, gen_j;
};

struct BenchReport {
  std::string model_filename, model_type, type_kv;
  std::string backend = "CPU";  // as llama-bench prints it
  std::string energy_source;    // PowerMeter::description()
  uint64_t model_size = 0, model_n_params = 0;
  std::vector<BenchResult> results;
  std::vector<BatchedBenchResult> batched;
};

// Of two readings of a meter; none where it could not be read.
std::optional<double> joules_between(std::optional<double> before, std::optional<double> after);
std::optional<double> per_token(std::optional<double> joules, int64_t tokens);

nlohmann::ordered_json to_json(const BenchReport& report);
std::string to_markdown(const BenchReport& report);

}  // namespace tern
