// Who runs now: a pure, deterministic state machine without thread, clock, socket or random number of its own. Engine
// thread only.
//
// schedule() plans one step: from each chosen sequence how many of its pending tokens run, within a budget of tokens
// and of predicted time. commit() tells it that the oldest planned step has run. Up to `depth` plans may lie between
// the two. There is no prefill or decode mode: a prompt's chunk and a single token are the same thing. Invariants:
//   - a sequence in a plan has all the blocks that the plan writes; nothing that a plan in flight uses is given away;
//   - next tokens come before prompts, and half of the room for prompts goes to the shortest, so nobody waits behind
//     somebody else's long prompt; the other half goes to the oldest, so that it never starves;
//   - a waiting sequence is overtaken by at most `max_overtakes` others that come behind it in order, and preempted at
//     most `max_preemptions` times: after that it is admitted with all blocks that it can ever need;
//   - among tenants that have work the one served least comes first (scheduler/wait_queue.h).
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kv/kv_cache.h"
#include "engine/scheduler/step_cost.h"
#include "engine/scheduler/wait_queue.h"
#include "engine/sequence.h"

namespace tern {

enum class SchedulingPolicy : uint8_t {
  kContinuous,  // sequences join and leave at every step
  kStatic,      // a batch runs to its end before the next begins, each with room for its longest answer: for comparison
};

struct SchedulerOptions {
  SchedulingPolicy policy = SchedulingPolicy::kContinuous;
  int64_t max_batched_tokens = 512;  // of one step
  int64_t max_sequences = 16;        // in one step
  int64_t max_step_ns = 0;           // predicted time of a step beyond which no more of a prompt joins; 0: no limit
  int64_t max_overtakes = 64;
  int32_t max_preemptions = 3;
  int64_t prefix_wait_tokens = 64;  // a prompt waits for so much that another one is computing already; 0: never
};

struct ScheduledSequence {
  Sequence* sequence;
  int64_t begin;   // position of the first token
  int64_t tokens;  // how many
  bool samples;    // the last of them decides on a new token
};

struct StepPlan {
  std::vector<BlockCopy> copies;  // before everything else
  std::vector<ScheduledSequence> sequences;
  StepShape shape;
  std::vector<Sequence*> expired;  // by schedule(): their deadline has passed, they have ended
  struct Fork {
    Sequence *leader, *follower;
  };
  std::vector<Fork> forks;  // by commit(): followers that sample from their leader's row
  bool empty() const { return sequences.empty(); }
  void clear();
};

struct SchedulerStats {
  int64_t waiting = 0, running = 0;
  int64_t preemptions = 0;
  int64_t prefix_queries = 0, prefix_hits = 0;  // tokens
  int64_t unfilled_slots = 0;                   // of running sequences' blocks
};

class Scheduler {
 public:
  Scheduler(const SchedulerOptions& options, KvCache& kv);

  // A new sequence, of which the cache can hold most_tokens(). With a leader it waits for the leader's prompt to be
  // computed and becomes a fork of it, provided that prompt, salt and tenant are the same and the answer has not begun.
  void add(Sequence* sequence, Sequence* leader = nullptr);
  // The sequence has ended, for whatever reason: it is in no further plan.
  void end(Sequence* sequence);
  // Plans the next step; an empty plan is not committed. `plan` is cleared first, its memory reused.
  void schedule(int64_t now_ns, StepPlan& plan);
  // The oldest plan in flight has run; its tokens have not been sampled yet.
  void commit(StepPlan& plan);
  // Ended sequences that no step in flight uses and that hold nothing any more: the owner may destroy them.
  void take_released(std::vector<Sequence*>& released);

  void set_cost(const StepCost& cost) { cost_ = cost; }
  SchedulerStats stats() const;
  const WaitQueue& queue() const { return queue_; }
  const std::vector<Sequence*>& running() const { return running_; }

 private:
  // scheduler.cpp
  static bool may_follow(const Sequence& sequence, const Sequence& leader);
  void release(Sequence* sequence);
  void compact();
  void expire(int64_t now_ns, StepPlan& plan);
  void fork_followers(StepPlan& plan, Sequence* leader);
  void enqueue(Sequence* sequence);
  // admission.cpp
  void admit();
  bool outranks_someone(const Sequence& candidate) const;
  bool waits_for_prefix(const Sequence& candidate) const;
  bool try_admit(Sequence* candidate);
  void survey();
  void count_in(Sequence* sequence);
  // batching.cpp
  void take_next_tokens(StepPlan& plan);
  void order_prompts();
  void take_prompts(StepPlan& plan);
  void take_shortest_first(StepPlan& plan, size_t first, int64_t left);
  void take_any(StepPlan& plan);
  void rank_for_rows();
  int64_t room_for(const StepPlan& plan, const Sequence& sequence, int64_t wanted) const;
  bool take(StepPlan& plan, Sequence* sequence, int64_t tokens);
  bool make_room(Sequence* sequence, int64_t positions);
  bool preempt_for(const Sequence* needy);

  SchedulerOptions options_;
  KvCache& kv_;
  StepCost cost_;
  WaitQueue queue_;
  std::vector<Sequence*> running_;  // in order of admission, with some that have just left (their state says so)
  int64_t live_ = 0;                // of running_, those that run
  std::vector<Sequence*> released_;
  std::vector<BlockCopy> copies_;  // for the next plan
  uint64_t arrivals_ = 0;
  int64_t next_deadline_ns_ = INT64_MAX;
  int64_t attached_ = 0;
  bool preempted_ = false;  // in this schedule(): nobody is admitted
  SchedulerStats totals_;

  // Of one schedule().
  std::vector<Sequence*> order_, skipped_;
  std::vector<Sequence*> computing_;  // that run and have not computed their prompts yet
  int64_t promised_ = 0;              // blocks that running ones will take for tokens that they have already
  struct Ranked {
    int32_t priority;
    int64_t served;
    uint64_t arrival;
    Sequence* sequence;
  };
  std::vector<Ranked> ranked_;
};

}  // namespace tern
