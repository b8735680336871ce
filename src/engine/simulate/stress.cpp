#include "engine/simulate/stress.h"

#include <algorithm>

namespace tern {
namespace {

void draw_load(Draws& draw, SimulatedLoad& load) {
  load.prompts = {draw.chance(0.5) ? Lengths::Kind::kUniform : Lengths::Kind::kLogUniform, 1,
                  draw.chance(0.3) ? 8 : 48};
  load.answers = {draw.chance(0.5) ? Lengths::Kind::kUniform : Lengths::Kind::kLogUniform, 1,
                  draw.chance(0.3) ? 3 : 16};
  load.longest_prompt = 48;
  load.asked_tokens = draw.chance(0.3) ? 16 : 0;
  load.stops = draw.chance(0.5);
  load.alphabet = draw.chance(0.4) ? 2 : 50;
  load.prefix_groups = draw.below(4);
  load.prefixes = {Lengths::Kind::kUniform, 1, 40};
  if (draw.chance(0.3)) load.conversations = 1 + draw.below(6);
  load.turns = 1 + draw.below(6);
  load.tenants = static_cast<int32_t>(1 + draw.below(3));
  load.priorities = static_cast<int32_t>(draw.chance(0.5) ? 1 : 1 + draw.below(3));
  load.salts = static_cast<int32_t>(draw.chance(0.5) ? 1 : 3);
  load.repeated = draw.chance(0.5) ? 0.3 : 0;
  load.siblings = draw.chance(0.5) ? 0.2 : 0;
  load.gap_ns = draw.chance(0.3) ? 0 : 100.0 * static_cast<double>(1 + draw.below(40));
  load.faults = draw.chance(0.6) ? 0.25 : 0;
  load.deadlines = draw.chance(0.4) ? 0.3 : 0;
  load.deadline_ns = 500.0 * static_cast<double>(1 + draw.below(40));
}

void draw_scheduler(Draws& draw, SchedulerOptions& scheduler) {
  scheduler.policy = draw.chance(0.12) ? SchedulingPolicy::kStatic : SchedulingPolicy::kContinuous;
  scheduler.max_batched_tokens = 1 + draw.below(draw.chance(0.5) ? 12 : 64);
  scheduler.max_sequences = 1 + draw.below(draw.chance(0.5) ? 4 : 16);
  scheduler.max_step_ns = draw.chance(0.5) ? 0 : 200 + draw.below(2000);
  scheduler.max_overtakes = draw.chance(0.5) ? 64 : draw.below(6);
  scheduler.max_preemptions = static_cast<int32_t>(draw.below(4));
  scheduler.prefix_wait_tokens = draw.chance(0.3) ? 0 : 4 + draw.below(16);
}

}  // namespace

StressCase stress_case(uint64_t seed, int64_t requests) {
  StressCase out;
  Draws draw(mix64(seed + 0x57e55));
  SimulationOptions& options = out.options;
  options.load.seed = seed;
  options.load.requests = requests;
  draw_load(draw, options.load);
  draw_scheduler(draw, options.scheduler);
  options.clients = draw.chance(0.2) ? 0 : 1 + draw.below(24);
  options.block_tokens = int64_t{1} << (draw.chance(0.7) ? 2 : draw.below(5));
  options.reach_tokens = int64_t{1} << draw.below(5);
  options.prefix_caching = draw.chance(0.9);
  options.weak_hash = draw.chance(0.4);
  options.depth = static_cast<int32_t>(1 + draw.below(3));
  options.cost = {100, 10, 5, 0.1};
  // The smallest pool holds one longest sequence: 48 + 16 tokens.
  const int64_t smallest = (63 + options.block_tokens - 1) / options.block_tokens;
  const int64_t groups = draw.chance(0.6) ? 1 : 1 + draw.below(3);
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t blocks = smallest + draw.below(draw.chance(0.7) ? 1 + smallest / 4 : 6 * smallest);
    const int64_t window = draw.chance(g == 0 ? 0.15 : 0.7) ? 1 + draw.below(24) : 0;
    options.groups.push_back({static_cast<int32_t>(blocks), window});
    out.model.windows.push_back(window);
  }
  out.load = make_load(options.load, out.model);
  return out;
}

std::optional<std::string> broken_invariant(const StressCase& one, Saboteur* saboteur, SimulationResult* result) {
  try {
    const SimulationResult got = Simulation(one.options, one.model, one.load, saboteur).run();
    if (result != nullptr) *result = got;
    return std::nullopt;
  } catch (const SimulationFailure& failure) {
    return failure.what();
  }
}

std::optional<StressFailure> stress(uint64_t seed, int64_t requests, int64_t per_seed, SimulationResult& total) {
  while (total.requests < requests) {
    StressCase one = stress_case(seed, std::min(per_seed, requests - total.requests));
    SimulationResult result;
    if (const auto message = broken_apart(one, &result, false)) {
      const auto fails = [&](const std::vector<SimulatedRequest>& load) {
        return broken_apart({one.options, one.model, load}, nullptr, true).has_value();
      };
      return StressFailure{seed, *message, shrink(std::move(one.load), fails)};
    }
    total.requests += result.requests;
    total.steps += result.steps;
    total.simulated_ns += result.simulated_ns;
    total.prompt_tokens += result.prompt_tokens;
    total.cached_tokens += result.cached_tokens;
    total.answer_tokens += result.answer_tokens;
    total.preemptions += result.preemptions;
    total.forks += result.forks;
    for (size_t i = 0; i < total.finished.size(); ++i) total.finished[i] += result.finished[i];
    total.trace_hash = mix64(total.trace_hash ^ result.trace_hash);
    total.scheduler_ns += result.scheduler_ns;
    total.scheduled_sequences += result.scheduled_sequences;
    total.extremes.overtaken = std::max(total.extremes.overtaken, result.extremes.overtaken);
    total.extremes.idle_waits = std::max(total.extremes.idle_waits, result.extremes.idle_waits);
    total.extremes.preemptions = std::max(total.extremes.preemptions, result.extremes.preemptions);
    ++seed;
  }
  return std::nullopt;
}

}  // namespace tern
