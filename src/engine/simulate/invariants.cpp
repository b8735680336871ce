#include "engine/simulate/invariants.h"

#include <algorithm>
#include <string>
#include <tuple>

namespace tern {
namespace {

// Turns of the loop that somebody may wait though there is ample room: the prompt that it waits for may be computed in
// the smallest of steps, and there may be a longer one behind it.
constexpr int64_t kMostIdleWaits = 256;

std::string named(const Sequence& s) { return "request " + std::to_string(s.request.id); }

}  // namespace

void Invariants::require(bool holds, const char* invariant, const std::string& what) {
  if (!holds) throw SimulationFailure(std::string(invariant) + ": " + what);
}

Invariants::Invariants(const SimulationOptions& options, const KvCache& kv, const Scheduler& scheduler,
                       const FakeDevice& device)
    : options_(options), kv_(kv), scheduler_(scheduler), device_(device) {
  for (size_t g = 0; g < kv.groups(); ++g) uses_.emplace_back(static_cast<size_t>(kv.pool(g).total()));
}

void Invariants::scheduled(const Live& live, const Flights& flights, const Flight* flight) {
  watch_admissions(live);
  watch_idle_waits(live);
  if (flight == nullptr) return;
  check_plan(flight->plan);
  for (size_t i = 0; i < flight->plan.sequences.size(); ++i) {
    for (size_t g = 0; g < kv_.groups(); ++g) {
      for (const int32_t block : flight->table(i, g)) {
        if (block != KvCache::kNoBlock) ++uses_[g][static_cast<size_t>(block)];
      }
    }
  }
  for (size_t i = 0; i < flight->plan.sequences.size(); ++i) check_item(flights, *flight, i);
}

void Invariants::committed(const Flight& flight) {
  for (size_t i = 0; i < flight.plan.sequences.size(); ++i) {
    for (size_t g = 0; g < kv_.groups(); ++g) {
      for (const int32_t block : flight.table(i, g)) {
        if (block != KvCache::kNoBlock) --uses_[g][static_cast<size_t>(block)];
      }
    }
    check_trimmed(*flight.plan.sequences[i].sequence);
  }
}

// Windows hold no more than a query can reach.
void Invariants::check_trimmed(const Sequence& s) const {
  if (s.state != SequenceState::kRunning) return;
  for (size_t g = 0; g < kv_.groups(); ++g) {
    const int64_t window = options_.groups[g].window;
    if (window == 0 || s.computed < window) continue;
    const int64_t tile = (s.computed - window + 1) / options_.reach_tokens * options_.reach_tokens;
    require(s.kv.groups[g].first >= tile / options_.block_tokens, "window", named(s) + " holds what no query reaches");
  }
}

void Invariants::check_plan(const StepPlan& plan) const {
  StepShape shape;
  for (const ScheduledSequence& item : plan.sequences) {
    const Sequence& s = *item.sequence;
    shape.add(item.tokens, item.begin, item.samples);
    require(item.tokens > 0 && item.begin + item.tokens == s.scheduled, "plan", named(s) + " is in a step twice");
    require(s.state == SequenceState::kRunning && s.in_flight > 0, "plan", named(s) + " is in a step and does not run");
    require(s.scheduled <= s.known() + s.sampling && s.computed <= item.begin, "plan",
            named(s) + " has positions out of order");
    require(s.scheduled <= s.most_tokens(), "plan", named(s) + " computes more than it can need");
  }
  require(shape.tokens == plan.shape.tokens && shape.rows == plan.shape.rows && shape.pairs == plan.shape.pairs, "plan",
          "the shape is not that of its sequences");
  require(shape.tokens <= options_.scheduler.max_batched_tokens, "plan", "more tokens than a step may have");
  require(static_cast<int64_t>(plan.sequences.size()) <= options_.scheduler.max_sequences, "plan",
          "more sequences than a step may have");
}

void Invariants::check_item(const Flights& flights, const Flight& flight, size_t item) {
  for (size_t g = 0; g < kv_.groups(); ++g) {
    for (const int32_t block : flight.table(item, g)) {
      require(block == KvCache::kNoBlock || kv_.pool(g).references(block) > 0, "I3",
              named(*flight.plan.sequences[item].sequence) + " is given block " + std::to_string(block) +
                  ", which is nobody's");
    }
    check_writes(flights, flight, item, g);
  }
}

void Invariants::check_writes(const Flights& flights, const Flight& flight, size_t item, size_t group) {
  const ScheduledSequence& work = flight.plan.sequences[item];
  const std::span<const int32_t> table = flight.table(item, group);
  const int64_t last = (work.begin + work.tokens - 1) / options_.block_tokens;
  for (int64_t i = work.begin / options_.block_tokens; i <= last; ++i) {
    const int32_t block = i < static_cast<int64_t>(table.size()) ? table[static_cast<size_t>(i)] : KvCache::kNoBlock;
    const std::string what =
        named(*work.sequence) + " writes block " + std::to_string(block) + " of group " + std::to_string(group);
    require(block != KvCache::kNoBlock, "I3", what + ": there is none");
    require(kv_.pool(group).references(block) == 1, "I3", what + ", which has several owners");
    require(!kv_.index().holds(group, block), "I3", what + ", which can be found");
    int32_t own = 0;
    for (const auto& other : flights) {
      for (size_t k = 0; k < other->plan.sequences.size(); ++k) {
        if (other->plan.sequences[k].sequence != work.sequence) continue;
        const std::span<const int32_t> held = other->table(k, group);
        own += i < static_cast<int64_t>(held.size()) && held[static_cast<size_t>(i)] == block ? 1 : 0;
      }
    }
    require(uses_[group][static_cast<size_t>(block)] == own, "I3", what + ", which another in flight uses");
  }
}

// Who has begun to run now, and whom did it overtake?
void Invariants::watch_admissions(const Live& live) {
  for (SimulatedSequence* one : live) {
    const Sequence& s = one->sequence;
    require(s.report.preemptions <= options_.scheduler.max_preemptions, "I8", named(s) + " is preempted too often");
    extremes_.preemptions = std::max(extremes_.preemptions, s.report.preemptions);
    if (one->preemptions != s.report.preemptions) {  // it was admitted in between, and begins to wait only now
      one->preemptions = s.report.preemptions;
      one->overtaken = one->idle_waits = 0;
      one->waited = false;
    }
    if (!one->waited || s.state != SequenceState::kRunning) continue;
    check_found(*one);
    one->overtaken = one->idle_waits = 0;
    for (SimulatedSequence* other : live) {
      const Sequence& w = other->sequence;
      if (!other->waited || w.state != SequenceState::kWaiting) continue;
      const SchedulingParams &first = s.request.scheduling, &second = w.request.scheduling;
      const bool behind = first.priority > second.priority ||
                          (first.priority == second.priority && first.tenant == second.tenant && s.arrival > w.arrival);
      if (!behind) continue;
      ++other->overtaken;
      extremes_.overtaken = std::max(extremes_.overtaken, other->overtaken);
      require(other->overtaken <= options_.scheduler.max_overtakes, "I8", named(w) + " is overtaken too often");
    }
  }
  for (SimulatedSequence* one : live) one->waited = one->sequence.state == SequenceState::kWaiting;
}

// What it found in the cache is written, and is its own past.
void Invariants::check_found(const SimulatedSequence& one) const {
  const Sequence& s = one.sequence;
  for (size_t g = 0; g < kv_.groups(); ++g) {
    for (int64_t i = s.kv.groups[g].first; (i + 1) * options_.block_tokens <= s.computed; ++i) {
      const int32_t block = s.kv.groups[g].blocks[static_cast<size_t>(i)];
      require(device_.holds(g, block, one.chain, i * options_.block_tokens, one.request->salt), "I4/I5",
              named(s) + " has found block " + std::to_string(block) + " of group " + std::to_string(g) +
                  ", which does not hold positions from " + std::to_string(i * options_.block_tokens));
    }
  }
}

void Invariants::watch_idle_waits(const Live& live) {
  SimulatedSequence* head = nullptr;
  const auto rank = [&](const SimulatedSequence* one) {
    const SchedulingParams& params = one->sequence.request.scheduling;
    return std::tuple(params.priority, scheduler_.queue().served(params.tenant), one->sequence.arrival);
  };
  for (SimulatedSequence* one : live) {
    if (one->sequence.state != SequenceState::kWaiting) continue;
    if (head == nullptr || rank(one) < rank(head)) head = one;
  }
  if (head == nullptr || !ample_room(live, head->sequence)) return;
  ++head->idle_waits;
  extremes_.idle_waits = std::max(extremes_.idle_waits, head->idle_waits);
  require(head->idle_waits <= kMostIdleWaits, "I8", named(head->sequence) + " waits though there is ample room");
}

// Room for all that the candidate and everybody who runs can ever need.
bool Invariants::ample_room(const Live& live, const Sequence& candidate) const {
  int64_t running = 0, needed = kv_.lacking(candidate.kv, candidate.most_tokens());
  for (const SimulatedSequence* one : live) {
    if (one->sequence.state != SequenceState::kRunning) continue;
    ++running;
    needed += kv_.lacking(one->sequence.kv, one->sequence.most_tokens());
  }
  if (running >= std::min(options_.scheduler.max_sequences, options_.scheduler.max_batched_tokens)) return false;
  if (running > 0 && options_.scheduler.policy == SchedulingPolicy::kStatic) return false;
  for (size_t g = 0; g < kv_.groups(); ++g) {
    if (kv_.pool(g).available() < needed + running) return false;
  }
  return true;
}

void Invariants::ended_well(const SimulatedSequence& one, FinishReason reason) {
  const Sequence& s = one.sequence;
  require(!one.ended, "I6", named(s) + " ends twice");
  require(one.received == s.answer, "I9", named(s) + " has received other tokens than were sampled");
  const auto prompt = static_cast<int64_t>(one.request->prompt.size());
  for (size_t i = 0; i < s.answer.size(); ++i) {
    require(one.chain.token(prompt + static_cast<int64_t>(i)) == s.answer[i], "I9",
            named(s) + " has other tokens than were computed");
  }
  require(reason != FinishReason::kLength || static_cast<int64_t>(s.answer.size()) == s.request.max_tokens, "I6",
          named(s) + " ends for its length, and has another");
}

}  // namespace tern
