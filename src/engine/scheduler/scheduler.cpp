#include "engine/scheduler/scheduler.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace tern {

void StepPlan::clear() {
  copies.clear();
  sequences.clear();
  expired.clear();
  forks.clear();
  shape = {};
}

Scheduler::Scheduler(const SchedulerOptions& options, KvCache& kv) : options_(options), kv_(kv) {
  TERN_CHECK(options.max_batched_tokens > 0 && options.max_sequences > 0);
  // Every running sequence can have its next token in every step.
  options_.max_sequences = std::min(options_.max_sequences, options_.max_batched_tokens);
  if (options.policy == SchedulingPolicy::kStatic) options_.prefix_wait_tokens = 0;
  running_.reserve(2 * static_cast<size_t>(options_.max_sequences));
}

// What the leader computes is what the follower needs, and the leader has not begun to answer.
bool Scheduler::may_follow(const Sequence& sequence, const Sequence& leader) {
  const SchedulingParams &mine = sequence.request.scheduling, &theirs = leader.request.scheduling;
  return (leader.state == SequenceState::kWaiting || leader.state == SequenceState::kRunning) &&
         leader.answer.empty() && leader.sampling == 0 && mine.tenant == theirs.tenant &&
         mine.cache_salt == theirs.cache_salt && sequence.request.prompt == leader.request.prompt;
}

void Scheduler::add(Sequence* sequence, Sequence* leader) {
  TERN_CHECK(sequence->state == SequenceState::kNew);
  const SchedulingParams& params = sequence->request.scheduling;
  sequence->arrival = arrivals_++;
  sequence->kv = kv_.table(params.cache_salt);
  queue_.join(params.tenant);
  if (params.deadline_ns > 0) next_deadline_ns_ = std::min(next_deadline_ns_, params.deadline_ns);
  const bool follows =
      options_.policy == SchedulingPolicy::kContinuous && leader != nullptr && may_follow(*sequence, *leader);
  if (!follows) return enqueue(sequence);
  sequence->state = SequenceState::kAttached;
  sequence->leader = leader;
  leader->followers.push_back(sequence);
  ++attached_;
}

void Scheduler::enqueue(Sequence* sequence) {
  sequence->state = SequenceState::kWaiting;
  kv_.name_blocks(sequence->kv, sequence->tokens());
  queue_.push(sequence);
}

void Scheduler::end(Sequence* sequence) {
  const SequenceState state = std::exchange(sequence->state, SequenceState::kEnded);
  if (state == SequenceState::kEnded) return;
  if (state == SequenceState::kWaiting) queue_.remove(sequence);
  if (state == SequenceState::kAttached) {
    std::erase(sequence->leader->followers, sequence);
    --attached_;
  }
  if (state == SequenceState::kRunning) --live_;
  for (Sequence* follower : std::exchange(sequence->followers, {})) {
    --attached_;
    follower->leader = nullptr;
    enqueue(follower);
  }
  queue_.leave(sequence->request.scheduling.tenant);
  if (sequence->in_flight == 0) release(sequence);
}

void Scheduler::release(Sequence* sequence) {
  kv_.release(sequence->kv);
  released_.push_back(sequence);
}

void Scheduler::take_released(std::vector<Sequence*>& released) {
  if (released_.empty()) return;
  compact();
  released.insert(released.end(), released_.begin(), released_.end());
  released_.clear();
}

void Scheduler::compact() {
  std::erase_if(running_, [](const Sequence* s) {
    return s->state == SequenceState::kWaiting || (s->state == SequenceState::kEnded && s->in_flight == 0);
  });
}

void Scheduler::schedule(int64_t now_ns, StepPlan& plan) {
  plan.clear();
  if (now_ns >= next_deadline_ns_) expire(now_ns, plan);
  compact();
  preempted_ = false;
  plan.copies.swap(copies_);
  take_next_tokens(plan);
  if (!preempted_) admit();
  take_prompts(plan);
  if (plan.empty()) take_any(plan);
  if (plan.empty()) copies_.swap(plan.copies);  // an empty plan is not run
}

void Scheduler::commit(StepPlan& plan) {
  for (const ScheduledSequence& item : plan.sequences) {
    Sequence* s = item.sequence;
    --s->in_flight;
    if (item.samples) --s->sampling;
    if (s->state == SequenceState::kEnded) {
      if (s->in_flight == 0) release(s);
      continue;
    }
    s->computed += item.tokens;
    kv_.publish(s->kv, s->tokens(), s->computed);
    kv_.trim(s->kv, s->computed);
    if (item.samples && !s->followers.empty()) fork_followers(plan, s);
  }
}

// The leader's prompt is computed: its followers run on from there, as far as there is room for them now. The others
// wait like anybody, and will find the prompt in the cache.
void Scheduler::fork_followers(StepPlan& plan, Sequence* leader) {
  for (Sequence* follower : std::exchange(leader->followers, {})) {
    --attached_;
    follower->leader = nullptr;
    // One that must not be preempted needs all its blocks from the start, which only admission sees to.
    const bool fits = live_ < options_.max_sequences && follower->report.preemptions < options_.max_preemptions;
    if (!fits || !kv_.fork(leader->kv, leader->computed, follower->kv, copies_)) {
      enqueue(follower);
      continue;
    }
    follower->state = SequenceState::kRunning;
    follower->computed = follower->scheduled = leader->computed;
    follower->report.cached_tokens = leader->computed;
    running_.push_back(follower);
    ++live_;
    plan.forks.push_back({leader, follower});
  }
}

void Scheduler::expire(int64_t now_ns, StepPlan& plan) {
  next_deadline_ns_ = INT64_MAX;
  const auto look = [&](Sequence* s) {
    const int64_t deadline = s->request.scheduling.deadline_ns;
    if (deadline <= 0 || s->state == SequenceState::kEnded) return;
    if (deadline <= now_ns) {
      plan.expired.push_back(s);
    } else {
      next_deadline_ns_ = std::min(next_deadline_ns_, deadline);
    }
  };
  const auto look_at_all = [&](Sequence* s) {
    look(s);
    for (Sequence* follower : s->followers) look(follower);
  };
  for (Sequence* s : running_) {
    if (s->state == SequenceState::kRunning) look_at_all(s);  // preempted ones stand in the queue too
  }
  queue_.each(look_at_all);
  for (Sequence* s : plan.expired) end(s);
}

SchedulerStats Scheduler::stats() const {
  SchedulerStats stats = totals_;
  stats.waiting = queue_.size() + attached_;
  stats.running = live_;
  for (const Sequence* s : running_) {
    if (s->kv.groups.empty()) continue;
    const auto capacity = static_cast<int64_t>(s->kv.groups[0].blocks.size()) * kv_.block_tokens();
    stats.unfilled_slots += std::max<int64_t>(capacity - s->computed, 0);
  }
  return stats;
}

}  // namespace tern
