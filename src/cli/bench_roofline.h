// tern bench --roofline: the limits of this machine, and how near each operation of a model comes to them, in the
// phases that matter: decoding one sequence, several together, and a piece of a prompt, behind some history.
//
// Tables, or one JSON object {limits, ops, phases}; both are contracts (docs/performance/README.md).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/bench_options.h"
#include "plan/roofline.h"

namespace tern {

// What every step of a phase is: `tokens` new tokens of each of `sequences`, behind `depth` tokens of history each.
struct RooflinePhase {
  std::string name;  // "decode" or "prompt"
  int64_t sequences = 1, tokens = 1, depth = 0;
  int threads = 0;
  Roofline result;
};

struct RooflineReport {
  std::vector<MachineLimits> limits;  // by threads, ascending
  std::string model_type;             // empty: limits alone
  std::vector<RooflinePhase> phases;
  double read_again_gbps = 0;  // by the most threads, behind the last phase: a limit that moved makes the run void
};

nlohmann::ordered_json to_json(const RooflineReport& report);
std::string to_markdown(const RooflineReport& report);

// Measures and prints. Without a model the limits alone.
void run_roofline(const BenchOptions& options);

}  // namespace tern
