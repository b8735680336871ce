#include "cli/bench_report.h"

#include <fmt/core.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace tern {
namespace {

struct Statistics {
  double mean = 0, deviation = 0;
};

Statistics statistics(const std::vector<double>& samples) {
  Statistics out;
  for (double sample : samples) out.mean += sample / static_cast<double>(samples.size());
  if (samples.size() < 2) return out;
  double squares = 0;
  for (double sample : samples) squares += (sample - out.mean) * (sample - out.mean);
  out.deviation = std::sqrt(squares / static_cast<double>(samples.size() - 1));
  return out;
}

std::vector<double> nanoseconds(const BenchResult& result) {
  return {result.samples_ns.begin(), result.samples_ns.end()};
}

std::vector<double> rates(const BenchResult& result) {
  std::vector<double> out;
  for (int64_t ns : result.samples_ns)
    out.push_back(static_cast<double>(result.tokens()) * 1e9 / static_cast<double>(ns));
  return out;
}

std::optional<double> joules_per_token(const BenchResult& result) {
  return per_token(result.joules, result.tokens() * static_cast<int64_t>(result.samples_ns.size()));
}

nlohmann::ordered_json or_null(std::optional<double> value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

// A line a test below llama-bench's tables, whose columns stay as they are.
std::string energy_text(const BenchReport& report) {
  std::string text;
  for (const BenchResult& result : report.results) {
    if (const auto joules = joules_per_token(result))
      text += fmt::format("{}: {:.4g} J a token\n", result.test_name(), *joules);
  }
  for (const BatchedBenchResult& r : report.batched) {
    const auto prompt = per_token(r.prompt_j, r.n_prompt * r.sequences),
               gen = per_token(r.gen_j, r.n_gen * r.sequences);
    if (prompt) text += fmt::format("PP {} B {}: {:.4g} J a token\n", r.n_prompt, r.sequences, *prompt);
    if (gen) text += fmt::format("TG {} B {}: {:.4g} J a token\n", r.n_gen, r.sequences, *gen);
  }
  if (text.empty())
    return fmt::format("\nenergy: unavailable, or less than the counter's step: {}\n", report.energy_source);
  return fmt::format("\nenergy by {}:\n{}", report.energy_source, text);
}

nlohmann::ordered_json batched_json(const BatchedBenchResult& r) {
  const double prompt = static_cast<double>(r.n_prompt * r.sequences), gen = static_cast<double>(r.n_gen * r.sequences);
  return {{"n_threads", r.threads},
          {"pp", r.n_prompt},
          {"tg", r.n_gen},
          {"pl", r.sequences},
          {"n_kv", r.sequences * (r.n_prompt + r.n_gen)},
          {"t_pp", r.prompt_s},
          {"speed_pp", prompt / r.prompt_s},
          {"t_tg", r.gen_s},
          {"speed_tg", gen / r.gen_s},
          {"t", r.prompt_s + r.gen_s},
          {"speed", (prompt + gen) / (r.prompt_s + r.gen_s)},
          {"joules_per_token_pp", or_null(per_token(r.prompt_j, r.n_prompt * r.sequences))},
          {"joules_per_token_tg", or_null(per_token(r.gen_j, r.n_gen * r.sequences))}};
}

}  // namespace

std::optional<double> joules_between(std::optional<double> before, std::optional<double> after) {
  if (!before || !after) return std::nullopt;
  return *after - *before;
}

std::optional<double> per_token(std::optional<double> joules, int64_t tokens) {
  // None counted: the test was shorter than the counter's step.
  if (!joules || *joules <= 0 || tokens == 0) return std::nullopt;
  return *joules / static_cast<double>(tokens);
}

std::string BenchResult::test_name() const {
  std::string name = n_gen == 0 ? fmt::format("pp{}", n_prompt) : fmt::format("tg{}", n_gen);
  if (n_depth > 0) name += fmt::format(" @ d{}", n_depth);
  return name;
}

nlohmann::ordered_json to_json(const BenchReport& report) {
  auto rows = nlohmann::ordered_json::array();
  for (const BenchResult& result : report.results) {
    const std::vector<double> ts = rates(result);
    const Statistics ns = statistics(nanoseconds(result)), rate = statistics(ts);
    rows.push_back({{"model_filename", report.model_filename},
                    {"model_type", report.model_type},
                    {"model_size", report.model_size},
                    {"model_n_params", report.model_n_params},
                    {"n_threads", result.threads},
                    {"type_k", report.type_kv},
                    {"type_v", report.type_kv},
                    {"n_prompt", result.n_prompt},
                    {"n_gen", result.n_gen},
                    {"n_depth", result.n_depth},
                    {"avg_ns", std::llround(ns.mean)},
                    {"stddev_ns", std::llround(ns.deviation)},
                    {"avg_ts", rate.mean},
                    {"stddev_ts", rate.deviation},
                    {"samples_ns", result.samples_ns},
                    {"samples_ts", ts},
                    {"joules_per_token", or_null(joules_per_token(result))},
                    {"energy_source", report.energy_source}});
  }
  for (const BatchedBenchResult& result : report.batched) rows.push_back(batched_json(result));
  return rows;
}

std::string to_markdown(const BenchReport& report) {
  std::string text;
  if (!report.results.empty()) {
    text +=
        "| model | size | params | backend | threads | test | t/s |\n| --- | ---: | ---: | --- | ---: | ---: | ---: "
        "|\n";
  }
  for (const BenchResult& result : report.results) {
    const Statistics rate = statistics(rates(result));
    text += fmt::format("| {} | {:.2f} MiB | {:.2f} M | {} | {} | {} | {:.2f} ± {:.2f} |\n", report.model_type,
                        static_cast<double>(report.model_size) / 1048576.0,
                        static_cast<double>(report.model_n_params) / 1e6, report.backend, result.threads,
                        result.test_name(), rate.mean, rate.deviation);
  }
  if (!report.batched.empty()) {
    text += "| threads | PP | TG | B | N_KV | T_PP s | S_PP t/s | T_TG s | S_TG t/s | T s | S t/s |\n";
    text += "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
  }
  for (const BatchedBenchResult& r : report.batched) {
    const double prompt = static_cast<double>(r.n_prompt * r.sequences),
                 gen = static_cast<double>(r.n_gen * r.sequences);
    text += fmt::format("| {} | {} | {} | {} | {} | {:.3f} | {:.2f} | {:.3f} | {:.2f} | {:.3f} | {:.2f} |\n", r.threads,
                        r.n_prompt, r.n_gen, r.sequences, r.sequences * (r.n_prompt + r.n_gen), r.prompt_s,
                        prompt / r.prompt_s, r.gen_s, gen / r.gen_s, r.prompt_s + r.gen_s,
                        (prompt + gen) / (r.prompt_s + r.gen_s));
  }
  return text + energy_text(report);
}

}  // namespace tern
