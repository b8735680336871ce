// One request's state inside the engine. Owned by the engine; what stands under "scheduler" is changed by it alone.
// Engine thread only.
//
// Positions: [0, computed) are written and committed, [computed, scheduled) are being written by steps in flight, and
// [scheduled, known + sampling) can be scheduled next: known tokens, and those that the runner will draw in steps in
// flight.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kv/kv_cache.h"
#include "engine/request.h"

namespace tern {

enum class SequenceState : uint8_t {
  kNew,
  kWaiting,
  kAttached,  // to a leader with the same prompt, of which it will be a fork
  kRunning,
  kEnded,
};

struct Sequence {
  Request request;
  std::vector<int32_t> answer;  // sampled so far
  RequestReport report;
  bool cancelled = false;        // ends at the next step
  bool drawn_by_runner = false;  // which can then feed a token that the engine does not know yet
  int32_t count_slot = -1;       // of the runner's counts (count_slots.h)
  // Tokens that no energy is charged for yet.
  int64_t uncharged_prompt = 0, uncharged_answer = 0;
  int32_t row = 0;  // of the logits of the last step that samples for it

  // Scheduler.
  SequenceState state = SequenceState::kNew;
  uint64_t arrival = 0;   // its place in the order of add()
  int64_t computed = 0;   // positions
  int64_t scheduled = 0;  // positions
  int32_t in_flight = 0;  // steps scheduled and not committed
  int32_t sampling = 0;   // of those, the ones that will sample a token for it
  int32_t overtaken = 0;  // later ones that were admitted before it
  bool reserved = false;  // holds all blocks that it can ever need
  KvTable kv;
  Sequence* leader = nullptr;                    // while attached
  std::vector<Sequence*> followers;              // attached to this one
  Sequence *before = nullptr, *after = nullptr;  // in its queue

  int64_t known() const { return static_cast<int64_t>(request.prompt.size() + answer.size()); }
  int64_t pending() const { return known() + (drawn_by_runner ? sampling : 0) - scheduled; }
  // A prompt (or, after a preemption, its repetition) of which more than the next token is missing.
  bool prefilling() const { return pending() > 1; }
  // Nothing more may be sampled than what is being sampled.
  bool sampled_out() const { return static_cast<int64_t>(answer.size()) + sampling >= request.max_tokens; }
  int32_t token(int64_t position) const {
    const auto prompt = static_cast<int64_t>(request.prompt.size());
    return position < prompt ? request.prompt[static_cast<size_t>(position)]
                             : answer[static_cast<size_t>(position - prompt)];
  }
  TokenSpans tokens() const { return {request.prompt, answer}; }
  // Positions that will ever be written: the last sampled token need not be computed.
  int64_t most_tokens() const { return static_cast<int64_t>(request.prompt.size()) + request.max_tokens - 1; }
};

}  // namespace tern
