// Who runs: chunks, order, admission by blocks, preemption, overtaking, siblings, deadlines, shared prefixes.
#include "engine/scheduler/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <optional>

namespace tern {
namespace {

class SchedulerTest : public ::testing::Test {
 protected:
  void make(SchedulerOptions options, int32_t blocks, int64_t block_tokens = 4) {
    kv_.emplace(KvOptions{
        .groups = {{blocks, 0}}, .block_tokens = block_tokens, .max_step_tokens = 64, .reach_tokens = block_tokens});
    scheduler_.emplace(options, *kv_);
  }
  // Prompts differ from the first token on unless `text` is the same.
  Sequence* add(int64_t prompt, int64_t answer, int32_t text = -1, Sequence* leader = nullptr,
                SchedulingParams params = {}) {
    Sequence& s = sequences_.emplace_back();
    s.request.id = sequences_.size();
    s.request.prompt.assign(static_cast<size_t>(prompt), text < 0 ? static_cast<int32_t>(s.request.id) : text);
    s.request.max_tokens = answer;
    s.request.scheduling = params;
    scheduler_->add(&s, leader);
    return &s;
  }
  // One step to its end; sampled tokens are all the same. Returns the tokens of each sequence in it.
  std::vector<std::pair<Sequence*, int64_t>> step(int64_t now_ns = 0) {
    scheduler_->schedule(now_ns, plan_);
    std::vector<std::pair<Sequence*, int64_t>> out;
    for (const auto& item : plan_.sequences) out.emplace_back(item.sequence, item.tokens);
    if (plan_.empty()) return out;
    scheduler_->commit(plan_);
    for (const auto& item : plan_.sequences) {
      if (item.samples && item.sequence->state == SequenceState::kRunning) sample(item.sequence);
    }
    for (const auto& fork : plan_.forks) sample(fork.follower);
    return out;
  }
  void sample(Sequence* s) {
    s->answer.push_back(7);
    if (static_cast<int64_t>(s->answer.size()) >= s->request.max_tokens) scheduler_->end(s);
  }
  static int64_t tokens_of(const std::vector<std::pair<Sequence*, int64_t>>& step, const Sequence* s) {
    for (const auto& [one, tokens] : step) {
      if (one == s) return tokens;
    }
    return 0;
  }

  std::optional<KvCache> kv_;
  std::optional<Scheduler> scheduler_;
  std::deque<Sequence> sequences_;
  StepPlan plan_;
};

TEST_F(SchedulerTest, ChunksAPromptByTheBudget) {
  make({.max_batched_tokens = 8, .max_sequences = 4}, 100);
  Sequence* s = add(20, 5);
  for (const int64_t expected : {8, 8, 4}) EXPECT_EQ(tokens_of(step(), s), expected);
  EXPECT_EQ(s->answer.size(), 1u);
  EXPECT_EQ(tokens_of(step(), s), 1);
}

TEST_F(SchedulerTest, NextTokensComeBeforePrompts) {
  make({.max_batched_tokens = 8, .max_sequences = 4}, 100);
  Sequence* small = add(3, 50);
  step();
  Sequence* big = add(30, 5);
  const auto both = step();
  EXPECT_EQ(tokens_of(both, small), 1);
  EXPECT_EQ(tokens_of(both, big), 7);
}

TEST_F(SchedulerTest, HalfOfTheRoomForPromptsIsForTheShortest) {
  make({.max_batched_tokens = 40, .max_sequences = 8}, 1000);
  Sequence* big = add(1000, 5);
  step();
  Sequence* small = add(15, 5);
  const auto both = step();
  EXPECT_EQ(tokens_of(both, small), 15);
  EXPECT_EQ(tokens_of(both, big), 25);
}

TEST_F(SchedulerTest, PredictedTimeBoundsAStepAndNeverStopsIt) {
  make({.max_batched_tokens = 512, .max_sequences = 8, .max_step_ns = 10'000}, 1000);
  scheduler_->set_cost({1000, 100, 0, 0});
  Sequence* s = add(1000, 5);
  EXPECT_EQ(tokens_of(step(), s), 90);
  scheduler_->set_cost({20'000, 100, 0, 0});
  EXPECT_EQ(tokens_of(step(), s), 16);
}

TEST_F(SchedulerTest, AdmitsByFreeBlocks) {
  make({.max_batched_tokens = 64, .max_sequences = 4}, 6);
  Sequence* first = add(16, 2);
  Sequence* second = add(12, 2);
  EXPECT_EQ(step().size(), 1u);
  EXPECT_EQ(second->state, SequenceState::kWaiting);
  step();
  EXPECT_EQ(first->state, SequenceState::kEnded);
  EXPECT_EQ(tokens_of(step(), second), 12);
}

TEST_F(SchedulerTest, PreemptsTheLatestAndComputesItAgain) {
  make({.max_batched_tokens = 64, .max_sequences = 4}, 9);
  Sequence* first = add(14, 16);
  Sequence* second = add(14, 16);
  int steps = 0;
  for (; !scheduler_->running().empty() || scheduler_->queue().size() > 0; ++steps) {
    ASSERT_LT(steps, 200);
    step();
    std::vector<Sequence*> released;
    scheduler_->take_released(released);
  }
  EXPECT_EQ(first->report.preemptions, 0);
  EXPECT_GE(second->report.preemptions, 1);
  EXPECT_EQ(second->answer.size(), 16u);
  EXPECT_EQ(kv_->pool(0).referenced(), 0);
}

TEST_F(SchedulerTest, TheOldestPromptIsNotRobbedOfTheLastBlocks) {
  make({.max_batched_tokens = 16, .max_sequences = 8}, 12);
  Sequence* oldest = add(40, 2);
  for (int i = 0; i < 6; ++i) add(8, 8);
  for (int i = 0; i < 12; ++i) {
    step();
    EXPECT_EQ(oldest->report.preemptions, 0);
  }
  EXPECT_EQ(oldest->answer.size(), 2u);
}

TEST_F(SchedulerTest, IsOvertakenOnlySoOften) {
  make({.max_batched_tokens = 64, .max_sequences = 4, .max_overtakes = 3}, 10);
  add(20, 40);
  step();
  Sequence* big = add(30, 4);  // does not fit beside it
  std::vector<Sequence*> small;
  for (int i = 0; i < 8; ++i) small.push_back(add(4, 2));
  for (int i = 0; i < 15; ++i) step();
  EXPECT_EQ(big->state, SequenceState::kWaiting);
  EXPECT_EQ(std::count_if(small.begin(), small.end(), [](auto* s) { return !s->answer.empty(); }), 3);
}

TEST_F(SchedulerTest, AHigherPriorityGetsAPlaceAmongFullOnes) {
  make({.max_batched_tokens = 64, .max_sequences = 2}, 100);
  Sequence* a = add(4, 100);
  Sequence* b = add(4, 100);
  step();
  Sequence* urgent = add(4, 3, -1, nullptr, {.priority = -1});
  Sequence* usual = add(4, 3);
  step();  // the places of this step are taken
  step();
  EXPECT_EQ(urgent->answer.size(), 1u);
  step();
  EXPECT_EQ(urgent->answer.size(), 2u);
  EXPECT_EQ(usual->state, SequenceState::kWaiting);
  EXPECT_GT(a->answer.size() + b->answer.size(), 2u);
}

TEST_F(SchedulerTest, SiblingsAreComputedOnceAndBecomeForks) {
  make({.max_batched_tokens = 64, .max_sequences = 8}, 100);
  Sequence* leader = add(18, 4, 5);
  Sequence* one = add(18, 4, 5, leader);
  Sequence* other = add(18, 4, 5, leader);
  EXPECT_EQ(scheduler_->stats().waiting, 3);
  EXPECT_EQ(step().size(), 1u);
  EXPECT_EQ(plan_.forks.size(), 2u);
  EXPECT_EQ(one->answer.size(), 1u);
  EXPECT_EQ(other->report.cached_tokens, 18);
  EXPECT_EQ(step().size(), 3u);
  EXPECT_EQ(plan_.copies.size(), 2u);
}

TEST_F(SchedulerTest, WhoIsNotLikeTheLeaderIsNoSibling) {
  make({.max_batched_tokens = 64, .max_sequences = 8}, 100);
  Sequence* leader = add(18, 4, 5, nullptr, {.cache_salt = "a"});
  EXPECT_EQ(add(18, 4, 6, leader, {.cache_salt = "a"})->state, SequenceState::kWaiting);
  EXPECT_EQ(add(18, 4, 5, leader, {.cache_salt = "b"})->state, SequenceState::kWaiting);
  EXPECT_EQ(add(18, 4, 5, leader, {.tenant = 1, .cache_salt = "a"})->state, SequenceState::kWaiting);
  EXPECT_EQ(add(18, 4, 5, leader, {.cache_salt = "a"})->state, SequenceState::kAttached);
}

TEST_F(SchedulerTest, ASiblingOutlivesItsLeader) {
  make({.max_batched_tokens = 8, .max_sequences = 8}, 100);
  Sequence* leader = add(18, 4, 5);
  Sequence* one = add(18, 4, 5, leader);
  step();
  scheduler_->end(leader);
  EXPECT_EQ(one->state, SequenceState::kWaiting);
  for (int i = 0; i < 4; ++i) step();
  EXPECT_GE(one->answer.size(), 1u);
}

TEST_F(SchedulerTest, WaitsForAPrefixThatAnotherComputes) {
  make({.max_batched_tokens = 64, .max_sequences = 8, .prefix_wait_tokens = 16}, 100);
  Sequence* first = add(100, 2, 5);
  Sequence* second = add(100, 2, 5);
  EXPECT_EQ(step().size(), 1u);
  EXPECT_EQ(second->state, SequenceState::kWaiting);
  step();
  step();
  EXPECT_EQ(second->report.cached_tokens, 96);
  EXPECT_EQ(first->answer.size(), 2u);
}

TEST_F(SchedulerTest, EndsWhatIsPastItsDeadlineWhereverItIs) {
  make({.max_batched_tokens = 64, .max_sequences = 1}, 100);
  Sequence* running = add(4, 100, -1, nullptr, {.deadline_ns = 50});
  Sequence* waiting = add(4, 100, 5, nullptr, {.deadline_ns = 60});
  Sequence* attached = add(4, 100, 5, waiting, {.deadline_ns = 60});
  EXPECT_EQ(attached->state, SequenceState::kAttached);
  step(10);
  scheduler_->schedule(70, plan_);
  EXPECT_EQ(plan_.expired.size(), 3u);
  std::vector<Sequence*> released;
  scheduler_->take_released(released);
  EXPECT_EQ(released.size(), 3u);
  EXPECT_EQ(running->state, SequenceState::kEnded);
  EXPECT_EQ(kv_->pool(0).referenced(), 0);
}

TEST_F(SchedulerTest, KeepsBlocksUntilTheLastStepInFlightIsCommitted) {
  make({.max_batched_tokens = 64, .max_sequences = 4}, 100);
  Sequence* s = add(4, 100);
  StepPlan first, second;
  scheduler_->schedule(0, first);
  scheduler_->schedule(0, second);
  EXPECT_TRUE(second.empty()) << "a token that is drawn on the host is waited for";
  s->drawn_by_runner = true;
  scheduler_->schedule(0, second);  // its token is still on the device
  ASSERT_EQ(second.sequences.size(), 1u);
  EXPECT_EQ(second.sequences[0].begin, 4);
  scheduler_->end(s);
  std::vector<Sequence*> released;
  scheduler_->commit(first);
  scheduler_->take_released(released);
  EXPECT_TRUE(released.empty());
  EXPECT_GT(kv_->pool(0).referenced(), 0);
  scheduler_->commit(second);
  scheduler_->take_released(released);
  EXPECT_EQ(released.size(), 1u);
  EXPECT_EQ(kv_->pool(0).referenced(), 0);
}

TEST_F(SchedulerTest, AStaticBatchRunsToItsEnd) {
  make({.policy = SchedulingPolicy::kStatic, .max_batched_tokens = 64, .max_sequences = 2}, 100);
  Sequence* brief = add(4, 2);
  Sequence* longer = add(4, 6);
  Sequence* next = add(4, 2);
  for (int i = 0; i < 5; ++i) step();
  EXPECT_EQ(brief->state, SequenceState::kEnded);
  EXPECT_EQ(longer->answer.size(), 5u);
  EXPECT_EQ(next->state, SequenceState::kWaiting);
  step();
  step();
  EXPECT_EQ(next->answer.size(), 1u);
}

}  // namespace
}  // namespace tern
