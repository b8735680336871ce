// Two tenants that always have work are served evenly, whatever they send: what has been computed for them differs by
// at most a step's budget and the longest request, at any time.
#include <gtest/gtest.h>

#include <algorithm>

#include <cstdlib>
#include <deque>

#include "engine/scheduler/scheduler.h"

namespace tern {
namespace {

struct Shape {
  int64_t prompt, answer;
};

// Keeps `backlog` requests of each tenant in the system and returns the largest difference in computed tokens.
int64_t largest_gap(const SchedulerOptions& options, int32_t blocks, const std::vector<Shape>& shapes,
                    int64_t backlog) {
  KvCache kv({.groups = {{blocks, 0}}, .block_tokens = 4, .max_step_tokens = options.max_batched_tokens});
  Scheduler scheduler(options, kv);
  std::deque<Sequence> sequences;
  std::vector<int64_t> open(shapes.size(), 0), served(shapes.size(), 0);
  int64_t largest = 0;
  StepPlan plan;
  for (int step = 0; step < 3000; ++step) {
    for (uint32_t tenant = 0; tenant < shapes.size(); ++tenant) {
      while (open[tenant] < backlog) {
        Sequence& s = sequences.emplace_back();
        s.request.prompt.assign(static_cast<size_t>(shapes[tenant].prompt), static_cast<int32_t>(sequences.size()));
        s.request.max_tokens = shapes[tenant].answer;
        s.request.scheduling.tenant = tenant;
        scheduler.add(&s);
        ++open[tenant];
      }
    }
    scheduler.schedule(0, plan);
    scheduler.commit(plan);
    for (const ScheduledSequence& item : plan.sequences) {
      Sequence& s = *item.sequence;
      const uint32_t tenant = s.request.scheduling.tenant;
      served[tenant] += item.tokens;
      if (!item.samples) continue;
      s.answer.push_back(1);
      if (static_cast<int64_t>(s.answer.size()) < s.request.max_tokens) continue;
      scheduler.end(&s);
      --open[tenant];
    }
    std::vector<Sequence*> released;
    scheduler.take_released(released);
    largest = std::max(largest, std::abs(served[0] - served[1]));
  }
  return largest;
}

TEST(Fairness, EqualTenants) {
  EXPECT_LE(largest_gap({.max_batched_tokens = 64, .max_sequences = 8}, 1000, {{16, 16}, {16, 16}}, 16), 64 + 32);
}

TEST(Fairness, LongPromptsBesideShortOnes) {
  EXPECT_LE(largest_gap({.max_batched_tokens = 64, .max_sequences = 8}, 1000, {{200, 4}, {8, 8}}, 16), 64 + 204);
}

TEST(Fairness, LongAnswersBesideShortOnes) {
  EXPECT_LE(largest_gap({.max_batched_tokens = 64, .max_sequences = 8}, 1000, {{8, 300}, {8, 8}}, 16), 64 + 308);
}

TEST(Fairness, ManyRequestsBesideFew) {
  EXPECT_LE(largest_gap({.max_batched_tokens = 32, .max_sequences = 4}, 1000, {{20, 40}, {40, 20}}, 24), 32 + 60);
}

}  // namespace
}  // namespace tern
