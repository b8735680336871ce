// Who runs now: a pure state machine without thread, clock, socket or random number of its own. Engine thread only.
//
// schedule() picks from each chosen sequence how many of its pending tokens run in the next step, within a budget of
// tokens; commit() tells it that they have run. A sequence in a plan has all the blocks that the plan needs. There is
// no prefill or decode mode: a prompt's chunk and a single token are the same thing.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/kv/block_pool.h"
#include "engine/sequence.h"

namespace tern {

struct ScheduledSequence {
  Sequence* sequence;
  int64_t tokens;  // of its pending ones, from `computed` on
};

struct StepPlan {
  std::vector<ScheduledSequence> sequences;
  int64_t tokens = 0;
  bool empty() const { return sequences.empty(); }
};

struct SchedulerLimits {
  int64_t max_batched_tokens;  // of one step
  int64_t max_sequences;       // running at once
  int64_t block_tokens;
};

class Scheduler {
 public:
  virtual ~Scheduler() = default;
  virtual void add(Sequence* sequence) = 0;     // waits until admitted
  virtual void remove(Sequence* sequence) = 0;  // finished or cancelled: frees its blocks
  virtual void schedule(StepPlan& plan) = 0;    // `plan` is cleared first; its memory is reused
  virtual void commit(const StepPlan& plan) = 0;
  virtual int64_t waiting() const = 0;
  virtual int64_t running() const = 0;
};

// First come, first served: running sequences before waiting ones, each in order of arrival. A sequence is admitted
// when the pool has all the blocks it can ever need, so it never has to be stopped for want of memory.
std::unique_ptr<Scheduler> make_fcfs_scheduler(const SchedulerLimits& limits, BlockPool& pool);

}  // namespace tern
