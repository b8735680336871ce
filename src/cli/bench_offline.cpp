// tern bench offline: a workload of prompt and answer lengths given to the engine at once, token ids in and out,
// without a server; greedy, and no answer ends early.
#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "api/device_choice.h"
#include "api/model.h"
#include "cli/answer.h"
#include "cli/bench_report.h"
#include "cli/options.h"
#include "cli/subcommands.h"
#include "core/error.h"
#include "core/rng.h"
#include "engine/runner/cuda_runner.h"

namespace tern {
namespace {

constexpr int64_t kSequences = 256;

struct OfflineOptions {
  ModelOptions model;
  std::string workload;
  uint64_t seed = 0;
  bool json = false;
};

struct Lengths {
  int64_t in, out;
};

struct OfflineResult {
  int64_t requests = 0, in = 0, out = 0, steps = 0;
  double s = 0, runner_s = 0, host_s = 0;
  std::optional<double> joules;
  EnergyOfTokens prompts, answers;
  double load_s = 0;
  std::optional<GpuReport> gpu;
};

EnergyOfTokens difference(const EnergyOfTokens& after, const EnergyOfTokens& before) {
  return {after.joules - before.joules, after.tokens - before.tokens};
}

nlohmann::ordered_json each(const EnergyOfTokens& energy) {
  if (energy.tokens == 0) return nullptr;
  return energy.joules / static_cast<double>(energy.tokens);
}

int64_t length_of(const nlohmann::json& line, const char* key, const std::string& where) {
  const auto at = line.is_object() ? line.find(key) : line.end();
  if (!line.is_object() || at == line.end() || !at->is_number_integer() || at->get<int64_t>() < 1) {
    bad_input(fmt::format("[offline] {}: \"{}\" is not a whole number of at least 1", where, key));
  }
  return at->get<int64_t>();
}

std::vector<Lengths> read_workload(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) bad_input("[offline] " + printable(path) + " cannot be read");
  std::vector<Lengths> out;
  std::string text;
  for (int64_t number = 1; std::getline(file, text); ++number) {
    if (text.empty()) continue;
    const std::string where = fmt::format("{}:{}", printable(path), number);
    const auto line = nlohmann::json::parse(text, nullptr, false);
    out.push_back({length_of(line, "in", where), length_of(line, "out", where)});
  }
  if (out.empty()) bad_input("[offline] " + printable(path) + " holds no request");
  return out;
}

void submit_all(Engine& engine, const std::vector<Lengths>& workload, uint64_t seed) {
  const auto vocabulary = static_cast<uint64_t>(engine.options().vocabulary);
  uint64_t drawn = 0;
  for (const Lengths& lengths : workload) {
    Request request;
    request.max_tokens = lengths.out;
    request.sampling.temperature = 0;
    for (int64_t i = 0; i < lengths.in; ++i) {
      request.prompt.push_back(static_cast<int32_t>(random_bits(seed, drawn++) % vocabulary));
    }
    engine.submit(std::move(request));
  }
}

// Runs until nothing is left; returns the tokens that came out.
int64_t run_all(Engine& engine) {
  std::vector<TokenEvent> events;
  int64_t out = 0;
  bool more = true;
  while (more) {
    events.clear();
    more = engine.step(events);
    for (const TokenEvent& event : events) {
      if (event.finish == FinishReason::kError) fail(ErrorCode::kFailed, "[offline] a row of logits has no token");
      out += event.token >= 0 ? 1 : 0;
    }
  }
  return out;
}

OfflineResult measure(Model& model, const std::vector<Lengths>& workload, uint64_t seed) {
  Engine& engine = model.engine();
  // Once small, for what is loaded or captured at a first step.
  submit_all(engine, {workload.begin(), workload.begin() + std::min<std::ptrdiff_t>(std::ssize(workload), 8)},
             seed + 1);
  run_all(engine);
  PowerMeter meter = power_meter(model.options().device);
  const EngineStats before = engine.stats();
  const std::optional<double> energy = meter.joules();
  const int64_t start = steady_now_ns();
  submit_all(engine, workload, seed);
  OfflineResult result;
  result.out = run_all(engine);
  result.s = static_cast<double>(steady_now_ns() - start) / 1e9;
  result.joules = joules_between(energy, meter.joules());
  const EngineStats after = engine.stats();
  result.load_s = static_cast<double>(model.load_ms()) / 1e3;
  result.gpu = gpu_report(model.runner());
  result.requests = std::ssize(workload);
  for (const Lengths& lengths : workload) result.in += lengths.in;
  result.steps = after.steps - before.steps;
  result.runner_s = static_cast<double>(after.runner_ns - before.runner_ns) / 1e9;
  result.prompts = difference(after.energy.prompts, before.energy.prompts);
  result.answers = difference(after.energy.answers, before.energy.answers);
  result.host_s = static_cast<double>(after.host_ns + after.sampler_ns - before.host_ns - before.sampler_ns) / 1e9;
  return result;
}

nlohmann::ordered_json start_json(const OfflineResult& r) {
  nlohmann::ordered_json out = {{"s", r.load_s}};
  if (r.gpu) {
    out.update(
        {{"weights_s", r.gpu->weights_s}, {"gpu_others_s", r.gpu->others_s}, {"weight_bytes", r.gpu->weight_bytes}});
  }
  return out;
}

void print_gpu(const OfflineResult& r) {
  const GpuReport& gpu = *r.gpu;
  fmt::print("start {:.2f} s: {:.2f} for {:.2f} GB of weights ({:.2f} GB/s), {:.2f} for the rest of the GPU's\n",
             r.load_s, gpu.weights_s, static_cast<double>(gpu.weight_bytes) / 1e9,
             static_cast<double>(gpu.weight_bytes) / 1e9 / gpu.weights_s, gpu.others_s);
  if (gpu.step_gap_us) fmt::print("{:.1f} us between two steps on the GPU, median of 200\n", *gpu.step_gap_us);
}

void print(const OfflineResult& r, bool json) {
  const double out_tok_s = static_cast<double>(r.out) / r.s, total_tok_s = static_cast<double>(r.in + r.out) / r.s;
  const std::optional<double> joules = per_token(r.joules, r.out);
  if (json) {
    nlohmann::ordered_json report = {{"out_tok_s", out_tok_s}, {"total_tok_s", total_tok_s}, {"s", r.s}};
    report["joules_per_output_token"] = joules ? nlohmann::ordered_json(*joules) : nlohmann::ordered_json(nullptr);
    report.update({{"requests", r.requests},
                   {"in_tokens", r.in},
                   {"out_tokens", r.out},
                   {"steps", r.steps},
                   {"runner_s", r.runner_s},
                   {"host_s", r.host_s},
                   {"joules_each", {{"prompt_token", each(r.prompts)}, {"answer_token", each(r.answers)}}},
                   {"start", start_json(r)}});
    const bool gap = r.gpu && r.gpu->step_gap_us;
    report["step_gap_us"] = gap ? nlohmann::ordered_json(*r.gpu->step_gap_us) : nlohmann::ordered_json(nullptr);
    std::printf("%s\n", report.dump().c_str());
    return;
  }
  fmt::print("{} requests, {} tokens in, {} out, {:.2f} s: {:.0f} out tok/s, {:.0f} in all\n", r.requests, r.in, r.out,
             r.s, out_tok_s, total_tok_s);
  fmt::print("{} steps, {:.2f} s in the runner, {:.2f} s beside it; {}\n", r.steps, r.runner_s, r.host_s,
             joules ? fmt::format("{:.3f} J an output token", *joules) : std::string("energy unavailable"));
  if (r.gpu) print_gpu(r);
}

void run_offline(const OfflineOptions& options) {
  const std::vector<Lengths> workload = read_workload(options.workload);
  LoadOptions load = options.model.load_options(kSequences);
  if (load.max_model_len == 0) {
    for (const Lengths& lengths : workload) load.max_model_len = std::max(load.max_model_len, lengths.in + lengths.out);
  }
  load.max_batched_tokens = std::max(load.max_batched_tokens, load.max_sequences);
  const auto model = Model::load(options.model.path(PullMode::kFetch), load);
  print(measure(*model, workload, options.seed), options.json);
}

}  // namespace

void Subcommands::add_bench_offline(CLI::App& bench) {
  auto options = std::make_shared<OfflineOptions>();
  CLI::App* command = bench.add_subcommand(
      "offline", "Throughput of the engine alone: a workload of lengths, token ids in and out, greedy");
  options->model.add_model(*command, true);
  options->model.add_device(*command);
  command->add_option("--workload", options->workload, "A file of lines {\"in\": tokens, \"out\": tokens}")->required();
  command->add_option("--seed", options->seed, "Of the prompts' token ids");
  command->add_option("--max-num-seqs", options->model.max_sequences, "Sequences a step at most; 0: 256")
      ->check(CLI::Range(0, 1024));
  command->add_option("-t,--threads", options->model.threads, "Threads; 0: all CPUs granted");
  command->add_option("-b,--max-num-batched-tokens", options->model.max_batched_tokens, "Tokens a step at most")
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--max-model-len", options->model.max_model_len, "Prompt and answer together; 0: the workload's");
  command->add_option("--kv-cache-dtype", options->model.kv_cache_dtype, "auto, f32, f16, bf16, int8 or fp8");
  command->add_flag("--json", options->json,
                    "One JSON object: out_tok_s, total_tok_s, s, joules_per_output_token, ...");
  command->callback([options] { run_offline(*options); });
}

}  // namespace tern
