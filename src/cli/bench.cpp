// tern bench: speed of a model on this machine, without tokenizing and sampling, as llama-bench measures it.
#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "api/device_choice.h"
#include "cli/answer.h"
#include "cli/bench_options.h"
#include "cli/bench_report.h"
#include "cli/bench_roofline.h"
#include "cli/options.h"
#include "cli/subcommands.h"
#include "cli/token_feeder.h"
#include "core/error.h"
#include "quant/kv_format.h"

namespace tern {
namespace {

void generate(TokenFeeder& feeder, int64_t count) {
  for (int64_t i = 0; i < count; ++i) feeder.advance(1);
}

BenchResult measure(Model& model, BenchResult test, int64_t repetitions, PowerMeter& meter) {
  TokenFeeder feeder(model, 1, test.n_depth + test.tokens());
  std::optional<double> spent;  // by the last one
  const auto once = [&] {
    feeder.restart();
    feeder.advance(test.n_depth);
    const std::optional<double> energy = meter.joules();
    const int64_t start = steady_now_ns();
    feeder.advance(test.n_prompt);
    generate(feeder, test.n_gen);
    const int64_t taken = steady_now_ns() - start;
    spent = joules_between(energy, meter.joules());
    return taken;
  };
  once();  // warm-up
  test.joules = 0;
  for (int64_t i = 0; i < repetitions; ++i) {
    test.samples_ns.push_back(once());
    test.joules = test.joules && spent ? std::optional(*test.joules + *spent) : std::nullopt;
  }
  return test;
}

BatchedBenchResult measure_batched(Model& model, BatchedBenchResult test, PowerMeter& meter) {
  TokenFeeder feeder(model, test.sequences, test.n_prompt + test.n_gen);
  feeder.advance(std::min<int64_t>(test.n_prompt, 16));  // warm-up
  feeder.restart();
  const std::optional<double> energy = meter.joules();
  const int64_t start = steady_now_ns();
  feeder.advance(test.n_prompt);
  test.prompt_s = static_cast<double>(steady_now_ns() - start) / 1e9;
  const std::optional<double> prompted = meter.joules();
  const int64_t gen_start = steady_now_ns();
  generate(feeder, test.n_gen);
  test.gen_s = static_cast<double>(steady_now_ns() - gen_start) / 1e9;
  test.prompt_j = joules_between(energy, prompted);
  test.gen_j = joules_between(prompted, meter.joules());
  return test;
}

// The tests that one loaded model runs, from the lists of the command line.
struct Plan {
  std::vector<BenchResult> tests;
  std::vector<BatchedBenchResult> batched;
  int64_t longest = 1, sequences = 1;
};

Plan plan_of(const BenchOptions& options) {
  Plan plan;
  const auto prompts = parse_list(options.prompts, "-p"), gens = parse_list(options.gens, "-n");
  if (!options.parallel.empty()) {
    for (int64_t sequences : parse_sequences(options.parallel)) {
      for (int64_t p : prompts) {
        for (int64_t g : gens) plan.batched.push_back({.n_prompt = p, .n_gen = g, .sequences = sequences});
      }
      plan.sequences = std::max(plan.sequences, sequences);
    }
  } else {
    for (int64_t depth : parse_list(options.depths.empty() ? "0" : options.depths, "-d")) {
      for (int64_t p : prompts) {
        if (p > 0) plan.tests.push_back({.n_prompt = p, .n_depth = depth});
      }
      for (int64_t g : gens) {
        if (g > 0) plan.tests.push_back({.n_gen = g, .n_depth = depth});
      }
    }
  }
  for (const BenchResult& test : plan.tests) plan.longest = std::max(plan.longest, test.n_depth + test.tokens());
  for (const BatchedBenchResult& test : plan.batched) plan.longest = std::max(plan.longest, test.n_prompt + test.n_gen);
  return plan;
}

void run_bench(const BenchOptions& options) {
  const std::string path = options.model.path(PullMode::kFetch);
  const Plan plan = plan_of(options);
  BenchReport report;
  for (int64_t threads : parse_list(options.threads, "-t")) {
    LoadOptions load = options.model.load_options(plan.sequences);
    load.threads = static_cast<int>(std::min<int64_t>(threads, 1024));
    load.max_model_len = plan.longest;
    load.max_batched_tokens = std::max(load.max_batched_tokens, plan.sequences);
    load.kv_cache_bytes = 0;
    const auto model = Model::load(path, load);
    report.model_filename = path;
    report.model_type = model->facts().type_name();
    report.model_size = model->facts().checkpoint->tensor_bytes();
    report.model_n_params = model->facts().parameters();
    if (load.device.on_gpu()) report.backend = "CUDA";
    PowerMeter meter = power_meter(load.device);
    report.energy_source = meter.description();
    report.type_kv = std::string(kv_name_of(*model->options().kv_format));
    for (BenchResult test : plan.tests) {
      test.threads = model->options().threads;
      report.results.push_back(measure(*model, test, options.repetitions, meter));
    }
    for (BatchedBenchResult test : plan.batched) {
      test.threads = model->options().threads;
      report.batched.push_back(measure_batched(*model, test, meter));
    }
  }
  const std::string text = options.format == "json" ? to_json(report).dump(2) + "\n" : to_markdown(report);
  std::printf("%s", text.c_str());
}

}  // namespace

void Subcommands::add_bench(CLI::App& app) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* command =
      app.add_subcommand("bench", "Measure speed: of a model, in llama-bench's columns, or of a server");
  command->require_subcommand(0, 1);
  add_bench_serve(*command);
  add_bench_simulate(*command);
  add_bench_offline(*command);
  options->model.add_model(*command, false);
  command->add_flag("--roofline", options->roofline,
                    "Measure the machine's limits, and of a model how near each operation comes to them; here -d is "
                    "0,512 and -npl 1,16 by default");
  command->add_option("-p,--n-prompt", options->prompts, "Prompt lengths, e.g. 128,512; 0: none");
  command->add_option("-n,--n-gen", options->gens, "Answer lengths; 0: none");
  command->add_option("-d,--n-depth", options->depths, "Tokens of history before each test");
  options->model.add_device(*command);
  command->add_option("-t,--threads", options->threads, "Thread counts; 0: all CPUs granted");
  command->add_option("--parallel-sequences", options->parallel, "Sequences together (-npl), as llama-batched-bench");
  command->add_option("-r,--repetitions", options->repetitions, "Runs of each test")->check(CLI::Range(1, 1000));
  command->add_option("-o,--output", options->format, "md or json")->check(CLI::IsMember({"md", "json"}));
  command->add_option("-b,--max-num-batched-tokens", options->model.max_batched_tokens, "Tokens a step at most")
      ->check(CLI::Range(1, 1 << 20));
  command
      ->add_option("--kv-cache-dtype,--cache-type-k,--cache-type-v", options->model.kv_cache_dtype,
                   "auto, f32, f16, bf16 or int8 (q8_0)")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  command->callback([command, options] {
    if (!command->get_subcommands().empty()) return;  // it has run
    if (options->roofline) return run_roofline(*options);
    if (options->model.model.empty()) bad_input("[bench] name a model, or say what to bench: tern bench --help");
    run_bench(*options);
  });
}

}  // namespace tern
