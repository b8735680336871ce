// tern bench simulate: the scheduler and the KV cache under a made-up load, on a made-up machine and clock.
#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/subcommands.h"
#include "core/error.h"
#include "engine/simulate/stress.h"

namespace tern {
namespace {

// Llama-3.1-8B in bf16 on one H100 (TARGETS: vLLM's decode steps at input 128, 6.53 ms for one sequence, 7.42 for 32,
// 8.81 for 128, 12.03 for 256; 8k x 32: 17.65). The floor is the weights; a query-key pair of a decode step reads 128
// KiB of keys and values, (17.65 - 7.42) ms / (32 x 8,192) = 39 ns; what is left over of the steps is 15 us a sequence,
// of which the head's row takes 1.5 (0.5 M multiply-adds x 2 at 700 TFLOPS). That gives 7.2, 9.2 and 12.0 ms for 32,
// 128 and 256, and 25 us a token for prompts in pieces of 512, where 23.3 were measured; longer pieces come out too
// dear, as their pairs share what they read.
constexpr StepCost kH100{6.5e6, 13.5e3, 1.5e3, 40};

struct Arguments {
  SimulationOptions options;
  std::string policy = "continuous", lengths = "loguniform:10:500", prompts = "32", prefix_tokens = "1000";
  std::string cost = "h100";
  int64_t batch = 32, kv_blocks = 0, window = 0;
  double rate = 0;
  bool stress = false, json = false, no_prefix_cache = false;
};

double rate_of(const nlohmann::json& json, const std::string& path, const char* key) {
  const auto at = json.find(key);
  if (at == json.end() || !at->is_number() || at->get<double>() < 0) {
    bad_input(fmt::format("[simulate] {}: {} is not a number of at least 0", printable(path), key));
  }
  return at->get<double>();
}

StepCost read_cost(const std::string& path) {
  if (path == "h100") return kH100;
  std::ifstream file(path, std::ios::binary);
  if (!file) bad_input("[simulate] " + printable(path) + " cannot be read");
  const auto json = nlohmann::json::parse(file, nullptr, false);
  if (!json.is_object()) bad_input("[simulate] " + printable(path) + " is not a JSON object");
  return {rate_of(json, path, "fixed_ns"), rate_of(json, path, "token_ns"), rate_of(json, path, "row_ns"),
          rate_of(json, path, "pair_ns")};
}

// The pool that holds a whole batch of longest requests, where none is named.
int64_t roomy_blocks(const SimulationOptions& options) {
  const SimulatedLoad& load = options.load;
  const int64_t answer = std::max(load.answers.high, load.asked_tokens);
  int64_t longest = load.prompts.high + answer + (load.prefix_groups > 0 ? load.prefixes.high : 0);
  if (load.conversations > 0) longest = load.longest_prompt + answer;
  return options.scheduler.max_sequences * ((longest + options.block_tokens - 1) / options.block_tokens + 1);
}

FakeModel prepare(Arguments& arguments) {
  SimulationOptions& options = arguments.options;
  options.load.answers = Lengths::parse(arguments.lengths, "--lengths");
  options.load.prompts = Lengths::parse(arguments.prompts, "--prompts");
  options.load.prefixes = Lengths::parse(arguments.prefix_tokens, "--prefix-tokens");
  options.scheduler.policy = arguments.policy == "static" ? SchedulingPolicy::kStatic : SchedulingPolicy::kContinuous;
  options.scheduler.max_sequences = arguments.batch;
  options.scheduler.max_batched_tokens = std::max(options.scheduler.max_batched_tokens, arguments.batch);
  options.prefix_caching = !arguments.no_prefix_cache;
  options.load.gap_ns = arguments.rate > 0 ? 1e9 / arguments.rate : 0;
  options.load.deadlines = options.load.faults / 2;
  options.load.deadline_ns = 5e9;
  options.cost = read_cost(arguments.cost);
  const int64_t blocks = arguments.kv_blocks > 0 ? arguments.kv_blocks : roomy_blocks(options);
  options.groups = {{static_cast<int32_t>(blocks), arguments.window}};
  return {.windows = {arguments.window}};
}

void refuse_what_does_not_fit(const SimulationOptions& options, const std::vector<SimulatedRequest>& load) {
  const int64_t tokens = options.groups[0].blocks * options.block_tokens;
  for (const SimulatedRequest& request : load) {
    const int64_t most = static_cast<int64_t>(request.prompt.size()) + request.max_tokens;
    if (most > tokens) {
      bad_input(fmt::format("[simulate] a request of {} tokens does not fit into {} blocks of {}", most,
                            options.groups[0].blocks, options.block_tokens));
    }
  }
}

nlohmann::ordered_json to_json(const SimulationResult& r) {
  nlohmann::ordered_json out;
  const double seconds = static_cast<double>(r.simulated_ns) / 1e9;
  out["requests"] = r.requests;
  out["steps"] = r.steps;
  out["simulated_s"] = seconds;
  out["output_tok_s"] = seconds > 0 ? static_cast<double>(r.answer_tokens) / seconds : 0;
  out["kv_waste"] = r.kv_waste;
  out["preemptions"] = r.preemptions;
  out["trace_hash"] = fmt::format("{:016x}", r.trace_hash);
  out["prompt_tokens"] = r.prompt_tokens;
  out["cached_tokens"] = r.cached_tokens;
  out["output_tokens"] = r.answer_tokens;
  out["peak_kv_blocks"] = r.peak_blocks;
  out["forks"] = r.forks;
  for (size_t i = 1; i < r.finished.size(); ++i) {
    out["finished"][std::string(name_of(static_cast<FinishReason>(i)))] = r.finished[i];
  }
  out["sequences_per_step"] =
      static_cast<double>(r.scheduled_sequences) / static_cast<double>(std::max<int64_t>(r.steps, 1));
  out["scheduler_ns_per_sequence"] =
      static_cast<double>(r.scheduler_ns) / static_cast<double>(std::max<int64_t>(r.scheduled_sequences, 1));
  return out;
}

// A broken invariant is a failure of the program.
SimulationResult run_stress(const SimulationOptions& options) {
  SimulationResult total;
  if (const auto failure = stress(options.load.seed, options.load.requests, 200, total)) {
    fail(ErrorCode::kFailed, "[simulate] seed " + std::to_string(failure->seed) + ": " + failure->text());
  }
  return total;
}

SimulationResult run_load(Arguments& arguments) {
  const FakeModel model = prepare(arguments);
  const std::vector<SimulatedRequest> load = make_load(arguments.options.load, model);
  refuse_what_does_not_fit(arguments.options, load);
  try {
    return Simulation(arguments.options, model, load).run();
  } catch (const SimulationFailure& failure) {
    fail(ErrorCode::kFailed, fmt::format("[simulate] seed {}: {}", arguments.options.load.seed, failure.what()));
  }
}

void run_simulate(Arguments& arguments) {
  const SimulationResult result = arguments.stress ? run_stress(arguments.options) : run_load(arguments);
  const auto json = to_json(result);
  if (arguments.json) {
    std::printf("%s\n", json.dump().c_str());
    return;
  }
  for (const auto& [key, value] : json.items()) std::printf("%-26s %s\n", key.c_str(), value.dump().c_str());
}

void add_load_options(CLI::App& command, Arguments& a) {
  SimulatedLoad& load = a.options.load;
  const auto share = CLI::Range(0.0, 1.0);
  command.add_option("--requests", load.requests, "How many")->check(CLI::Range(1, 100'000'000));
  command.add_option("--seed", load.seed, "Everything follows from it");
  command.add_option("--lengths", a.lengths, "Of answers: N, uniform:LOW:HIGH or loguniform:LOW:HIGH");
  command
      .add_option("--asked", load.asked_tokens, "Answer tokens that requests ask for, whatever they get; 0: just those")
      ->check(CLI::Range(0, 1 << 20));
  command.add_option("--prompts", a.prompts, "Of prompts, or of a conversation's turns");
  command.add_option("--prefix-groups", load.prefix_groups, "Prompts begin with one of so many texts")
      ->check(CLI::Range(0, 1'000'000));
  command.add_option("--prefix-tokens", a.prefix_tokens, "Lengths of those");
  command
      .add_option("--conversations", load.conversations, "That go on at a time, each with turns; 0: single questions")
      ->check(CLI::Range(0, 1'000'000));
  command.add_option("--turns", load.turns, "Of a conversation")->check(CLI::Range(1, 1000));
  command.add_option("--longest-prompt", load.longest_prompt, "A conversation ends before it")
      ->check(CLI::Range(1, 1 << 20));
  command.add_option("--tenants", load.tenants, "API keys")->check(CLI::Range(1, 10'000));
  command.add_option("--priorities", load.priorities, "Different ones")->check(CLI::Range(1, 100));
  command.add_option("--siblings", load.siblings, "Share of requests with siblings (n > 1)")->check(share);
  command
      .add_option("--faults", load.faults, "Share of requests that are cancelled or fail; half as many have a deadline")
      ->check(share);
  command.add_option("--rate", a.rate, "Arrivals a second (Poisson); 0: all at once");
  command.add_option("--clients", a.options.clients, "Requests in the system at most; 0: any number")
      ->check(CLI::Range(0, 100'000'000));
}

void add_machine_options(CLI::App& command, Arguments& a) {
  SchedulerOptions& scheduler = a.options.scheduler;
  command.add_option("--policy", a.policy, "continuous or static")->check(CLI::IsMember({"continuous", "static"}));
  command.add_option("--batch", a.batch, "Sequences a step at most")->check(CLI::Range(1, 1 << 20));
  command.add_option("--max-num-batched-tokens", scheduler.max_batched_tokens, "Tokens a step at most")
      ->check(CLI::Range(1, 1 << 20));
  command.add_option("--cost", a.cost, "Of a step: h100, or a JSON file with fixed_ns, token_ns, row_ns and pair_ns");
  command.add_option("--block-tokens", a.options.block_tokens, "Tokens a KV block")
      ->check(CLI::IsMember({1, 2, 4, 8, 16, 32, 64, 128, 256}));
  command.add_option("--kv-blocks", a.kv_blocks, "KV blocks; 0: as many as a batch of the longest requests needs")
      ->check(CLI::Range(0, 1 << 26));
  command.add_option("--window", a.window, "Sliding window of the attention; 0: none")->check(CLI::Range(0, 1 << 20));
  command.add_option("--depth", a.options.depth, "Batches in flight at most")->check(CLI::Range(1, 16));
  command.add_flag("--no-prefix-cache", a.no_prefix_cache, "Share nothing");
  command.add_flag("--verify", a.options.verify, "Check contents and invariants all along (slow)");
  command.add_flag("--stress", a.stress, "Instead of all this: many small random loads and machines, all checked");
  command.add_flag("--json", a.json, "As one JSON object");
}

}  // namespace

void Subcommands::add_bench_simulate(CLI::App& bench) {
  auto arguments = std::make_shared<Arguments>();
  arguments->options.verify = false;
  CLI::App* command = bench.add_subcommand("simulate", "Run scheduler and KV cache on a made-up machine");
  add_load_options(*command, *arguments);
  add_machine_options(*command, *arguments);
  command->callback([arguments] { run_simulate(*arguments); });
}

}  // namespace tern
