// What a simulation is told: its load and its machine. Plain values.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kv/kv_cache.h"
#include "engine/scheduler/scheduler.h"
#include "engine/simulate/lengths.h"

namespace tern {

// Who asks for what, and when. Everything follows from the seed.
struct SimulatedLoad {
  uint64_t seed = 1;
  int64_t requests = 1000;
  Lengths prompts{Lengths::Kind::kUniform, 32, 32};      // of a conversation: of each new turn
  Lengths answers{Lengths::Kind::kLogUniform, 10, 500};  // at most
  int64_t asked_tokens = 0;                              // requests ask for so many at least, whatever the answer is
  bool stops = false;                                    // answers may end by themselves before
  int32_t alphabet = 1000;    // different tokens in prompts; few: chance makes prefixes equal
  int64_t prefix_groups = 0;  // so many beginnings are shared; 0: none
  Lengths prefixes{Lengths::Kind::kUniform, 1000, 1000};  // how long they are
  int64_t conversations = 0;                              // that go on at the same time; 0: single questions
  int64_t turns = 8;                                      // of each, before another one begins
  int64_t longest_prompt = 1 << 20;                       // a conversation ends before it
  int32_t tenants = 1, priorities = 1, salts = 1;
  double repeated = 0;     // share that asks what an earlier one has asked
  double siblings = 0;     // share that comes with one to three siblings
  double gap_ns = 0;       // mean between arrivals, and of a turn's pause; 0: at once
  double faults = 0;       // share that is cancelled or fails
  double deadlines = 0;    // share that has one
  double deadline_ns = 0;  // mean time until then
};

struct SimulationOptions {
  SimulatedLoad load;
  int64_t clients = 0;  // requests in the system at most; 0: any number
  SchedulerOptions scheduler;
  std::vector<KvGroup> groups;
  int64_t block_tokens = 16;
  int64_t reach_tokens = 16;
  bool prefix_caching = true;
  bool weak_hash = false;  // names of 4 bits
  int32_t depth = 1;       // batches in flight at most; how many, changes at random
  StepCost cost;
  bool verify = true;  // a fake device with contents, and every check; otherwise only the schedule
};

}  // namespace tern
