// The requests of a simulation, all of them, before it begins. A request keeps its id when others are taken out, so
// that a failing load can be made smaller.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/simulate/fake_model.h"
#include "engine/simulate/options.h"

namespace tern {

// Where in a turn of the engine's loop something happens to a request.
enum class Phase : uint8_t { kBeforeSchedule, kInFlight, kCommitted, kSampled };
constexpr int kPhases = 4;

struct Fault {
  enum class Kind : uint8_t { kNone, kCancel, kNotFinite };
  Kind kind = Kind::kNone;
  int32_t turn = 0;  // of the loop since the request came; kNotFinite: the answer token that fails
  Phase phase = Phase::kBeforeSchedule;
};

struct SimulatedRequest {
  int64_t id = 0;
  std::vector<int32_t> prompt;
  int64_t max_tokens = 1;  // asked for
  int64_t length = 1;      // of the answer at most: where it stops by itself
  uint64_t seed = 0;       // of sampling: equal prompts have equal answers unless it differs
  bool stops = false;
  uint32_t tenant = 0;
  int32_t priority = 0, salt = 0;
  int64_t parent = -1;      // comes after that one has ended (when it is there)
  int64_t leader = -1;      // a sibling with the same prompt, one of the requests just before
  int64_t pause_ns = 0;     // between the one before (or the parent's end) and this one's arrival
  int64_t deadline_ns = 0;  // after its arrival; 0: none
  Fault fault;
};

std::vector<SimulatedRequest> make_load(const SimulatedLoad& options, const FakeModel& model);

// The answer that a request gets when nothing ends it before.
std::vector<int32_t> full_answer(const SimulatedRequest& request, const FakeModel& model);

}  // namespace tern
