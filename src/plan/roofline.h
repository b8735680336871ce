// The roofline of a step: what each op moved and computed beside what the machine can do in its time at best (Williams
// et al. 2009, "Roofline"). Pure functions over measured values; any thread.
//
//   least time of an op = max(ops / peak of its arithmetic,
//                             bytes that are not activations / rate of the level that holds all of the step's,
//                             activations / rate of the level that holds this op's)
//
// The levels are memory, and the last two caches where everything fits: a model smaller than the cache is not held
// against the memory's rate. share = least time / time.
#pragma once

#include <string>
#include <vector>

#include "kernels/limits/limits.h"

namespace tern {

// One op of one layer, as it ran.
struct OpSample {
  std::string name;    // the same in every layer: "attn_qkv"
  std::string kernel;  // implementation
  Cost cost;
  double us = 0;
};

// All ops of one name and kernel together.
struct RooflineRow {
  std::string name, kernel;
  int count = 0;
  double us = 0, bytes = 0, ops = 0;
  std::string bound;  // which term of the least time is the largest: "memory", "l3", "l2", or a peak: "int8", "bf16",
                      // "f32", "int8_tile" or "bf16_tile"
  double share = 0;
  double lost_us() const { return us * (1 - share); }
};

struct Roofline {
  std::vector<RooflineRow> rows;  // the one that takes most time first
  double step_us = 0;
  double waiting_us = 0;  // of the step in no op: barriers, and waiting there for other workers

  // Where rows is not empty. Of the lowest share among those that take at least 1 % of the step.
  const RooflineRow& lowest_share() const;
  const RooflineRow& most_lost() const;
};

Roofline roofline(const std::vector<OpSample>& samples, double step_us, const MachineLimits& limits);

}  // namespace tern
