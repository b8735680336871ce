// First come, first served: order, budget, admission by blocks, and that nothing leaks.
#include <gtest/gtest.h>

#include <memory>

#include "core/rng.h"
#include "engine/scheduler/scheduler.h"

namespace tern {
namespace {

std::unique_ptr<Sequence> sequence(int64_t prompt, int64_t answer) {
  auto out = std::make_unique<Sequence>();
  out->request.prompt.assign(static_cast<size_t>(prompt), 1);
  out->request.max_tokens = answer;
  return out;
}

TEST(FcfsScheduler, ChunksAPromptByTheBudget) {
  BlockPool pool(100);
  const auto scheduler = make_fcfs_scheduler({8, 4, 16}, pool);
  const auto s = sequence(20, 5);
  scheduler->add(s.get());
  StepPlan plan;
  for (int64_t expected : {8, 8, 4}) {
    scheduler->schedule(plan);
    ASSERT_EQ(plan.sequences.size(), 1u);
    EXPECT_EQ(plan.tokens, expected);
    scheduler->commit(plan);
  }
  EXPECT_EQ(s->pending(), 0);
}

TEST(FcfsScheduler, AnswersComeBeforePrompts) {
  BlockPool pool(100);
  const auto scheduler = make_fcfs_scheduler({8, 4, 16}, pool);
  const auto first = sequence(30, 5), second = sequence(3, 5);
  scheduler->add(first.get());
  scheduler->add(second.get());
  second->computed = 3;
  second->answer = {7};  // one pending token: an answer's
  StepPlan plan;
  scheduler->schedule(plan);
  ASSERT_EQ(plan.sequences.size(), 2u);
  EXPECT_EQ(plan.sequences[0].sequence, second.get());
  EXPECT_EQ(plan.sequences[0].tokens, 1);
  EXPECT_EQ(plan.sequences[1].tokens, 7);
}

TEST(FcfsScheduler, AdmitsOnlyWhatCanFinish) {
  BlockPool pool(4);
  const auto scheduler = make_fcfs_scheduler({512, 4, 16}, pool);
  const auto big = sequence(40, 8), small = sequence(10, 30);  // 3 and 3 blocks
  scheduler->add(big.get());
  scheduler->add(small.get());
  StepPlan plan;
  scheduler->schedule(plan);
  ASSERT_EQ(plan.sequences.size(), 1u);
  EXPECT_EQ(scheduler->waiting(), 1);
  EXPECT_EQ(pool.available(), 1);
  scheduler->remove(big.get());
  scheduler->schedule(plan);
  ASSERT_EQ(plan.sequences.size(), 1u);
  EXPECT_EQ(plan.sequences[0].sequence, small.get());
}

TEST(FcfsScheduler, RandomLifesLeaveThePoolWhole) {
  constexpr int32_t kBlocks = 37;
  BlockPool pool(kBlocks);
  const auto scheduler = make_fcfs_scheduler({23, 5, 16}, pool);
  std::vector<std::unique_ptr<Sequence>> live;
  StepPlan plan;
  for (uint64_t step = 0; step < 3000; ++step) {
    if (random_bits(1, step) % 3 == 0 && live.size() < 20) {
      live.push_back(sequence(1 + static_cast<int64_t>(random_bits(2, step) % 200),
                              1 + static_cast<int64_t>(random_bits(3, step) % 40)));
      scheduler->add(live.back().get());
    }
    scheduler->schedule(plan);
    EXPECT_LE(plan.tokens, 23);
    std::vector<int32_t> seen;
    for (const auto& item : plan.sequences) {
      EXPECT_GE(static_cast<int64_t>(item.sequence->blocks.size()) * 16, item.sequence->computed + item.tokens);
      for (int32_t block : item.sequence->blocks) EXPECT_EQ(pool.references(block), 1);
    }
    scheduler->commit(plan);
    for (const auto& item : plan.sequences) {
      if (item.sequence->pending() == 0) item.sequence->answer.push_back(1);
    }
    std::erase_if(live, [&](const auto& s) {
      const bool done =
          static_cast<int64_t>(s->answer.size()) >= s->request.max_tokens || random_bits(4, step) % 50 == 0;
      if (done) scheduler->remove(s.get());
      return done;
    });
  }
  for (const auto& s : live) scheduler->remove(s.get());
  EXPECT_EQ(pool.available(), kBlocks);
  EXPECT_EQ(scheduler->running() + scheduler->waiting(), 0);
}

}  // namespace
}  // namespace tern
