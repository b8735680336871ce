#include <algorithm>
#include <deque>

#include "core/error.h"
#include "engine/scheduler/scheduler.h"

namespace tern {
namespace {

class FcfsScheduler final : public Scheduler {
 public:
  FcfsScheduler(const SchedulerLimits& limits, BlockPool& pool) : limits_(limits), pool_(pool) {
    running_.reserve(static_cast<size_t>(limits.max_sequences));
  }

  void add(Sequence* sequence) override { waiting_.push_back(sequence); }

  void remove(Sequence* sequence) override {
    std::erase(waiting_, sequence);
    std::erase(running_, sequence);
    for (int32_t block : sequence->blocks) pool_.release(block);
    sequence->blocks.clear();
  }

  void schedule(StepPlan& plan) override {
    plan.sequences.clear();
    plan.tokens = 0;
    while (!waiting_.empty() && static_cast<int64_t>(running_.size()) < limits_.max_sequences &&
           admit(*waiting_.front())) {
      running_.push_back(waiting_.front());
      waiting_.pop_front();
    }
    // Answers first, so that nobody's next token waits behind somebody else's prompt; then prompts with what is left.
    for (Sequence* sequence : running_) {
      if (sequence->pending() == 1) take(plan, sequence);
    }
    for (Sequence* sequence : running_) {
      if (sequence->pending() > 1) take(plan, sequence);
    }
  }

  void commit(const StepPlan& plan) override {
    for (const ScheduledSequence& scheduled : plan.sequences) scheduled.sequence->computed += scheduled.tokens;
  }

  int64_t waiting() const override { return static_cast<int64_t>(waiting_.size()); }
  int64_t running() const override { return static_cast<int64_t>(running_.size()); }

 private:
  bool admit(Sequence& sequence) {
    const int64_t blocks = (sequence.most_tokens() + limits_.block_tokens - 1) / limits_.block_tokens;
    if (blocks > pool_.available()) return false;
    sequence.blocks.reserve(static_cast<size_t>(blocks));
    for (int64_t i = 0; i < blocks; ++i) sequence.blocks.push_back(*pool_.allocate());
    return true;
  }

  void take(StepPlan& plan, Sequence* sequence) const {
    const int64_t tokens = std::min(sequence->pending(), limits_.max_batched_tokens - plan.tokens);
    if (tokens <= 0) return;
    plan.sequences.push_back({sequence, tokens});
    plan.tokens += tokens;
  }

  SchedulerLimits limits_;
  BlockPool& pool_;
  std::deque<Sequence*> waiting_;
  std::vector<Sequence*> running_;
};

}  // namespace

std::unique_ptr<Scheduler> make_fcfs_scheduler(const SchedulerLimits& limits, BlockPool& pool) {
  TERN_CHECK(limits.max_batched_tokens > 0 && limits.max_sequences > 0 && limits.block_tokens > 0);
  return std::make_unique<FcfsScheduler>(limits, pool);
}

}  // namespace tern
