// What of the running sequences goes into the next step.
#include <algorithm>
#include <tuple>

#include "engine/scheduler/scheduler.h"

namespace tern {
namespace {

// Of a prompt, in every step, whatever the step is predicted to take: there is always progress.
constexpr int64_t kLeastPromptTokens = 16;
// A step's prompt tokens while nothing is known about the machine's speed.
constexpr int64_t kUnknownSpeedTokens = 64;

}  // namespace

// Everybody's next token, oldest first; where more run than a step has places, those whose turn it is.
void Scheduler::take_next_tokens(StepPlan& plan) {
  order_.clear();
  for (Sequence* s : running_) {
    if (s->state == SequenceState::kRunning && s->pending() > 0 && !s->sampled_out()) order_.push_back(s);
  }
  if (static_cast<int64_t>(order_.size()) > options_.max_sequences) rank_for_rows();
  int64_t places = options_.max_sequences;
  for (Sequence* s : order_) {
    if (places == 0) return;
    // A preemption on the way may have taken the next one out.
    if (s->state != SequenceState::kRunning) continue;
    if (s->prefilling() || take(plan, s, 1)) --places;  // a prompt's place is kept for take_prompts()
  }
}

// Whoever's turn it is may lack blocks that others hold who cannot be preempted: then those go on.
void Scheduler::take_any(StepPlan& plan) {
  for (Sequence* s : running_) {
    if (s->state != SequenceState::kRunning || s->pending() == 0 || s->sampled_out()) continue;
    const int64_t tokens = std::min(s->pending(), room_for(plan, *s, s->pending()));
    if (tokens > 0) take(plan, s, tokens);
  }
}

// Those with the best right to a place first: by priority, then the tenants served least, counting what each is given
// here, then by arrival.
void Scheduler::rank_for_rows() {
  ranked_.clear();
  std::sort(order_.begin(), order_.end(), [](const Sequence* a, const Sequence* b) {
    const auto key = [](const Sequence* s) {
      return std::tuple(s->request.scheduling.tenant, s->request.scheduling.priority, s->arrival);
    };
    return key(a) < key(b);
  });
  int64_t given = 0;
  for (size_t i = 0; i < order_.size(); ++i) {
    const SchedulingParams& params = order_[i]->request.scheduling;
    given = i > 0 && order_[i - 1]->request.scheduling.tenant == params.tenant ? given + 1 : 0;
    ranked_.push_back({params.priority, queue_.served(params.tenant) + given, order_[i]->arrival, order_[i]});
  }
  std::sort(ranked_.begin(), ranked_.end(), [](const Ranked& a, const Ranked& b) {
    return std::tie(a.priority, a.served, a.arrival) < std::tie(b.priority, b.served, b.arrival);
  });
  for (size_t i = 0; i < ranked_.size(); ++i) order_[i] = ranked_[i].sequence;
}

// Prompts of which something is missing, the oldest first, in order_.
void Scheduler::order_prompts() {
  order_.clear();
  for (Sequence* s : running_) {
    if (s->state != SequenceState::kRunning || s->pending() == 0 || s->sampled_out()) continue;
    // Of an answer only what is computed again: whose turn it is for a next token has been decided.
    const bool in_prompt = s->scheduled < static_cast<int64_t>(s->request.prompt.size());
    if (s->prefilling() || (in_prompt && s->in_flight == 0)) order_.push_back(s);
  }
  std::sort(order_.begin(), order_.end(), [](const Sequence* a, const Sequence* b) {
    return std::tuple(a->request.scheduling.priority, a->arrival) <
           std::tuple(b->request.scheduling.priority, b->arrival);
  });
}

// Pieces of prompts with what room is left: half of it for the oldest, the rest to the shortest first, and what those
// leave to the oldest again. The oldest that can have blocks gets them before all others: it must not find that shorter
// ones have taken the last.
void Scheduler::take_prompts(StepPlan& plan) {
  order_prompts();
  Sequence* oldest = nullptr;
  int64_t room = 0, kept = 0;
  size_t next = 0;
  while (oldest == nullptr && next < order_.size()) {
    Sequence* s = order_[next++];
    if (s->state != SequenceState::kRunning) continue;
    room = room_for(plan, *s, options_.max_batched_tokens);
    kept = std::min(s->pending(), std::max(room / 2, std::min(room, kLeastPromptTokens)));
    if (kept <= 0) return;
    if (make_room(s, s->scheduled + kept)) oldest = s;
  }
  if (oldest == nullptr) return;
  take_shortest_first(plan, next, room - kept);
  if (oldest->state != SequenceState::kRunning) return;
  const int64_t tokens = std::min(oldest->pending(), room_for(plan, *oldest, oldest->pending()));
  if (tokens > 0 && !take(plan, oldest, tokens)) take(plan, oldest, std::min(tokens, kept));
}

// Of order_ from `first` on, `left` tokens together; the step's last place is kept for the oldest.
void Scheduler::take_shortest_first(StepPlan& plan, size_t first, int64_t left) {
  const auto begin = order_.begin() + static_cast<std::ptrdiff_t>(first);
  std::sort(begin, order_.end(), [](const Sequence* a, const Sequence* b) {
    return std::tuple(a->request.scheduling.priority, a->pending(), a->arrival) <
           std::tuple(b->request.scheduling.priority, b->pending(), b->arrival);
  });
  for (auto at = begin; at != order_.end() && left > 0; ++at) {
    Sequence* s = *at;
    if (s->state != SequenceState::kRunning) continue;
    if (static_cast<int64_t>(plan.sequences.size()) + 1 >= options_.max_sequences) return;
    const int64_t tokens = std::min({s->pending(), left, room_for(plan, *s, left)});
    if (tokens > 0 && take(plan, s, tokens)) left -= tokens;
  }
}

// How many of `wanted` tokens behind what the sequence has the step still has room for: places, tokens, predicted time.
int64_t Scheduler::room_for(const StepPlan& plan, const Sequence& s, int64_t wanted) const {
  if (static_cast<int64_t>(plan.sequences.size()) >= options_.max_sequences) return 0;
  int64_t tokens = std::min(wanted, options_.max_batched_tokens - plan.shape.tokens);
  if (options_.max_step_ns <= 0) return tokens;
  const int64_t given = plan.shape.tokens - plan.shape.rows;  // of prompts, about
  const int64_t least = std::clamp<int64_t>(kLeastPromptTokens - given, 0, tokens);
  if (!cost_.known()) {
    tokens = std::min(tokens, kUnknownSpeedTokens - given);
  } else {
    tokens = cost_.tokens_within(plan.shape, tokens, s.scheduled, static_cast<double>(options_.max_step_ns));
  }
  return std::max(tokens, least);
}

// Puts `tokens` of the sequence into the plan; false when there are no blocks for them, not even by preemption.
bool Scheduler::take(StepPlan& plan, Sequence* s, int64_t tokens) {
  if (!make_room(s, s->scheduled + tokens)) return false;
  const bool samples = tokens == s->pending();
  // Prompts are charged on admission, what is computed again is not.
  if (!s->prefilling() && s->scheduled >= static_cast<int64_t>(s->request.prompt.size())) {
    queue_.charge(s->request.scheduling.tenant, 1);
  }
  plan.sequences.push_back({s, s->scheduled, tokens, samples});
  plan.shape.add(tokens, s->scheduled, samples);
  s->scheduled += tokens;
  ++s->in_flight;
  if (samples) ++s->sampling;
  return true;
}

bool Scheduler::make_room(Sequence* s, int64_t positions) {
  while (!kv_.grow(s->kv, positions)) {
    if (!preempt_for(s)) return false;
  }
  return true;
}

// Takes the blocks of the running sequence with the least right to them: of the lowest priority, then of the tenant
// served most, then the latest. It will be computed again, from what the cache still holds. False when nobody has less
// right than `needy`, which then waits for others to end: the one with the most right of all always goes on.
bool Scheduler::preempt_for(const Sequence* needy) {
  const auto rank = [&](const Sequence* s) {
    return std::tuple(s->request.scheduling.priority, queue_.served(s->request.scheduling.tenant), s->arrival);
  };
  Sequence* victim = nullptr;
  for (Sequence* s : running_) {
    if (s->state != SequenceState::kRunning || s->in_flight > 0 || s->reserved) continue;
    if (rank(s) > rank(victim == nullptr ? needy : victim)) victim = s;
  }
  if (victim == nullptr) return false;
  kv_.release(victim->kv);
  victim->computed = victim->scheduled = 0;
  ++victim->report.preemptions;
  ++totals_.preemptions;
  --live_;
  enqueue(victim);
  preempted_ = true;
  return true;
}

}  // namespace tern
