// Many small simulations, each with a load and a machine that its seed draws: tiny pools, deep pipelines, weak names,
// sliding windows, faults. A seed that breaks an invariant is made small: requests and faults are taken out as long as
// it still fails.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/simulate/simulation.h"

namespace tern {

struct StressCase {
  SimulationOptions options;
  FakeModel model;
  std::vector<SimulatedRequest> load;
};

// Prompts of 1-48 and answers of 1-16 tokens, blocks of 4 in most: small numbers meet every border often.
StressCase stress_case(uint64_t seed, int64_t requests);

struct StressFailure {
  uint64_t seed = 0;
  std::string message;
  std::vector<SimulatedRequest> smallest;  // of its load
  std::string text() const;                // message, command to replay it, and the small load
};

// Runs a case; the broken invariant's message, nothing when all is well.
std::optional<std::string> broken_invariant(const StressCase& one, Saboteur* saboteur = nullptr,
                                            SimulationResult* result = nullptr);

// The same in a process of its own, so that a failed TERN_CHECK and a crash are failures like any other. `quiet` ones
// print nothing.
std::optional<std::string> broken_apart(const StressCase& one, SimulationResult* result, bool quiet);

// Of a load for which `fails` is true a small part for which it is true.
using LoadFails = std::function<bool(const std::vector<SimulatedRequest>&)>;
std::vector<SimulatedRequest> shrink(std::vector<SimulatedRequest> load, const LoadFails& fails);

// `requests` of them under consecutive seeds from `seed` on, `per_seed` each, every seed in a process of its own; the
// sum of all results goes to `total`. The first failure, made small, ends it.
std::optional<StressFailure> stress(uint64_t seed, int64_t requests, int64_t per_seed, SimulationResult& total);

}  // namespace tern
