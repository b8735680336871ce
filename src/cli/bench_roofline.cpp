#include "cli/bench_roofline.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/answer.h"
#include "cli/token_feeder.h"
#include "core/error.h"

namespace tern {
namespace {

// Steps of a phase go on until they have taken so long together, within bounds: a median of many short steps, and of
// few long ones.
constexpr int64_t kPhaseNs = 300'000'000;
constexpr int64_t kMostSteps = 200;

int64_t median(std::vector<int64_t>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// ns of each op of one step, from [threads, ops, 2] stamps: from its beginning, but not before the op before it has
// ended, until the last thread has done its share.
std::vector<int64_t> op_times(const std::vector<int64_t>& stamps, size_t threads) {
  const size_t ops = stamps.size() / threads / 2;
  std::vector<int64_t> times(ops);
  int64_t before = 0;
  for (size_t op = 0; op < ops; ++op) {
    int64_t begin = INT64_MAX, end = 0;
    for (size_t thread = 0; thread < threads; ++thread) {
      const int64_t* span = stamps.data() + 2 * (thread * ops + op);
      if (span[0] == 0) continue;  // took no part
      begin = std::min(begin, span[0]);
      end = std::max(end, span[1]);
    }
    times[op] = std::max<int64_t>(0, end - std::max(begin, before));
    before = std::max(before, end);
  }
  return times;
}

// Runs the phase's step again and again from the same history, each op timed: medians.
Roofline measure(Model& model, const RooflinePhase& phase, int64_t repetitions, const MachineLimits& limits) {
  TokenFeeder feeder(model, phase.sequences, phase.depth + phase.tokens);
  feeder.fill(phase.depth);
  feeder.step(phase.tokens, true);  // warm-up
  std::vector<int64_t> stamps, steps;
  model.runner().time_ops(&stamps);
  const std::vector<OpReport> ops = model.runner().report(feeder.batch());
  std::vector<std::vector<int64_t>> times(ops.size());
  for (int64_t spent = 0, count = 0; count < repetitions || (spent < kPhaseNs && count < kMostSteps); ++count) {
    feeder.rewind(phase.depth);
    const int64_t begin = steady_now_ns();
    feeder.step(phase.tokens, true);
    steps.push_back(steady_now_ns() - begin);
    spent += steps.back();
    const std::vector<int64_t> step = op_times(stamps, static_cast<size_t>(model.runner().threads()));
    for (size_t op = 0; op < times.size(); ++op) times[op].push_back(step[op]);
  }
  model.runner().time_ops(nullptr);
  std::vector<OpSample> samples;
  for (size_t op = 0; op < times.size(); ++op) {
    samples.push_back({ops[op].name, ops[op].kernel, ops[op].cost, static_cast<double>(median(times[op])) / 1e3});
  }
  return roofline(samples, static_cast<double>(median(steps)) / 1e3, limits);
}

std::vector<RooflinePhase> phases_of(const BenchOptions& options) {
  std::vector<RooflinePhase> phases;
  const auto gens = parse_list(options.gens, "-n");
  const bool decodes = std::any_of(gens.begin(), gens.end(), [](int64_t n) { return n > 0; });
  for (const int64_t depth : parse_list(options.depths.empty() ? "0,512" : options.depths, "-d")) {
    for (const int64_t sequences : parse_sequences(options.parallel.empty() ? "1,16" : options.parallel)) {
      if (decodes) phases.push_back({.name = "decode", .sequences = sequences, .depth = depth});
    }
    for (const int64_t tokens : parse_list(options.prompts, "-p")) {
      if (tokens > 0) phases.push_back({.name = "prompt", .tokens = tokens, .depth = depth});
    }
  }
  return phases;
}

// Room for every phase, and steps as large as the largest.
LoadOptions load_options(const BenchOptions& options, const std::vector<RooflinePhase>& phases) {
  int64_t sequences = 1, longest = 1, step = 1;
  for (const RooflinePhase& phase : phases) {
    sequences = std::max(sequences, phase.sequences);
    longest = std::max(longest, phase.depth + phase.tokens);
    step = std::max(step, phase.sequences * phase.tokens);
  }
  LoadOptions load = options.model.load_options(sequences);
  load.device = {};  // the limits are the CPU's
  load.max_model_len = longest;
  load.max_batched_tokens = std::max(load.max_batched_tokens, step);
  load.kv_cache_bytes = 0;
  return load;
}

// 1, 2, 4 and so on, the most, and those asked for.
std::vector<int> limit_threads(std::vector<int> threads, int most) {
  for (int n = 1; n < most; n *= 2) threads.push_back(n);
  threads.push_back(most);
  std::sort(threads.begin(), threads.end());
  threads.erase(std::unique(threads.begin(), threads.end()), threads.end());
  return threads;
}

void measure_phases(const BenchOptions& options, const std::string& path, const std::vector<RooflinePhase>& phases,
                    const std::vector<int>& thread_counts, RooflineReport& report) {
  for (const int threads : thread_counts) {
    LoadOptions load = load_options(options, phases);
    load.threads = threads;
    const auto model = Model::load(path, load);
    report.model_type = model->facts().type_name();
    const auto limits = std::find_if(report.limits.begin(), report.limits.end(),
                                     [&](const MachineLimits& l) { return l.threads == threads; });
    TERN_CHECK(limits != report.limits.end());
    for (RooflinePhase phase : phases) {
      phase.threads = threads;
      phase.result = measure(*model, phase, options.repetitions, *limits);
      report.phases.push_back(std::move(phase));
    }
  }
}

}  // namespace

void run_roofline(const BenchOptions& options) {
  std::vector<int> threads;
  for (const int64_t count : parse_list(options.threads, "-t")) {
    const int available = available_cpus();
    const int granted = count == 0 ? available : static_cast<int>(std::min<int64_t>(count, available));
    if (std::find(threads.begin(), threads.end(), granted) == threads.end()) threads.push_back(granted);
  }
  if (threads.empty()) bad_input("[bench] -t names no thread count");
  const std::vector<RooflinePhase> phases = phases_of(options);
  const bool has_model = !options.model.model.empty();
  const std::string path = has_model ? options.model.path(PullMode::kFetch) : "";
  RooflineReport report;
  const int most = *std::max_element(threads.begin(), threads.end());
  report.limits = measure_limits(limit_threads(threads, most));
  if (has_model) {
    measure_phases(options, path, phases, threads, report);
    report.read_again_gbps = measure_limits({most})[0].read_gbps();
  }
  const std::string text = options.format == "json" ? to_json(report).dump(2) + "\n" : to_markdown(report);
  std::printf("%s", text.c_str());
}

}  // namespace tern
