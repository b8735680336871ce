// The simulator finds nothing wrong in many small worlds, the same in the same world, and notices what is made wrong.
#include "engine/simulate/simulation.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/error.h"
#include "engine/simulate/stress.h"

namespace tern {
namespace {

TEST(Simulation, HundredThousandRequestsBreakNoInvariant) {
  SimulationResult total;
  const auto failure = stress(1, 100'000, 200, total);
  ASSERT_FALSE(failure.has_value()) << failure->text();
  EXPECT_EQ(total.requests, 100'000);
  // The worlds are as hard as they are meant to be.
  EXPECT_GT(total.preemptions, 200);
  EXPECT_GT(total.forks, 1000);
  EXPECT_GT(total.cached_tokens, total.prompt_tokens / 10);
  for (const FinishReason reason : {FinishReason::kStop, FinishReason::kLength, FinishReason::kCancelled,
                                    FinishReason::kTimeout, FinishReason::kError}) {
    EXPECT_GT(total.finished[static_cast<size_t>(reason)], 500) << static_cast<int>(reason);
  }
}

// Beyond the first 500. 1596: a reserved sequence lost its place to one that could not get the blocks it held.
TEST(Simulation, SeedsThatOnceFailed) {
  for (const uint64_t seed : {1596u}) {
    const auto broken = broken_invariant(stress_case(seed, 200));
    EXPECT_FALSE(broken) << seed << ": " << *broken;
  }
}

TEST(Simulation, ASeedIsOneCourseOfEvents) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SimulationResult first, second, other;
    EXPECT_FALSE(broken_invariant(stress_case(seed, 200), nullptr, &first));
    const std::vector<std::vector<char>> elsewhere(seed * 10, std::vector<char>(seed * 100));  // other addresses
    EXPECT_FALSE(broken_invariant(stress_case(seed, 200), nullptr, &second));
    EXPECT_FALSE(broken_invariant(stress_case(seed + 1000, 200), nullptr, &other));
    EXPECT_EQ(first.trace_hash, second.trace_hash) << elsewhere.size();
    EXPECT_NE(first.trace_hash, other.trace_hash);
  }
}

// One small world with siblings and little room; each request is cancelled in each turn, between any two things.
TEST(Simulation, EveryRequestIsCancelledAtEveryMoment) {
  StressCase world = stress_case(1, 1);
  world.options.scheduler = {.max_batched_tokens = 9, .max_sequences = 4, .prefix_wait_tokens = 8};
  world.options.groups = {{18, 0}, {17, 6}};
  world.options.block_tokens = world.options.reach_tokens = 4;
  world.options.prefix_caching = world.options.weak_hash = true;
  world.options.depth = 3;
  world.options.clients = 0;
  world.model.windows = {0, 6};
  world.options.load = {.seed = 5,
                        .requests = 7,
                        .prompts = {Lengths::Kind::kUniform, 1, 30},
                        .answers = {Lengths::Kind::kUniform, 2, 8},
                        .alphabet = 2,
                        .repeated = 0.5,
                        .siblings = 0.5};
  const std::vector<SimulatedRequest> load = make_load(world.options.load, world.model);
  int64_t cancelled = 0;
  for (size_t who = 0; who < load.size(); ++who) {
    for (int32_t turn = 0; turn < 60; ++turn) {
      for (int phase = 0; phase < kPhases; ++phase) {
        world.load = load;
        world.load[who].fault = {Fault::Kind::kCancel, turn, static_cast<Phase>(phase)};
        SimulationResult result;
        const auto broken = broken_invariant(world, nullptr, &result);
        ASSERT_FALSE(broken) << *broken << ": request " << who << " in turn " << turn << ", phase " << phase;
        cancelled += result.finished[static_cast<size_t>(FinishReason::kCancelled)];
      }
    }
  }
  EXPECT_GT(cancelled, 300);
}

// ---- that it notices ----

struct PublishesTooEarly final : Saboteur {
  void scheduled(KvCache& kv, const StepPlan& plan) override {
    for (const ScheduledSequence& item : plan.sequences) {
      Sequence& s = *item.sequence;
      kv.publish(s.kv, s.tokens(), std::min(s.scheduled, s.known()));
    }
  }
};

struct TrimsWhatIsInFlight final : Saboteur {
  void scheduled(KvCache& kv, const StepPlan& plan) override {
    for (const ScheduledSequence& item : plan.sequences) kv.trim(item.sequence->kv, item.sequence->scheduled);
  }
};

struct ReleasesTooEarly final : Saboteur {
  void scheduled(KvCache& kv, const StepPlan& plan) override {
    if (++steps_ == 10) kv.release(plan.sequences[0].sequence->kv);
  }
  int steps_ = 0;
};

// As if tables shared the block in which they go on.
struct LosesABlock final : Saboteur {
  void committed(KvCache& kv, const StepPlan& plan) override {
    if (++steps_ != 10) return;
    KvTable copy = kv.table("");
    std::vector<BlockCopy> copies;
    kv.fork(plan.sequences[0].sequence->kv, plan.sequences[0].sequence->computed, copy, copies);
  }
  int steps_ = 0;
};

template <typename Kind>
int64_t caught() {
  int64_t count = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Kind saboteur;
    count += broken_invariant(stress_case(seed, 200), &saboteur).has_value() ? 1 : 0;
  }
  return count;
}

TEST(Simulation, NoticesWhatIsMadeWrong) {
  EXPECT_GT(caught<PublishesTooEarly>(), 10);
  EXPECT_GT(caught<TrimsWhatIsInFlight>(), 2);
  EXPECT_GT(caught<ReleasesTooEarly>(), 30);
  EXPECT_GT(caught<LosesABlock>(), 20);
}

TEST(Simulation, AFailingLoadIsMadeSmall) {
  StressCase world = stress_case(1, 200);
  const LoadFails two_long_prompts_of_one_tenant = [](const std::vector<SimulatedRequest>& load) {
    return std::count_if(load.begin(), load.end(), [](const auto& r) { return r.prompt.size() > 10; }) >= 2;
  };
  ASSERT_TRUE(two_long_prompts_of_one_tenant(world.load));
  const auto small = shrink(world.load, two_long_prompts_of_one_tenant);
  EXPECT_EQ(small.size(), 2u);
  for (const SimulatedRequest& request : small) EXPECT_EQ(request.fault.kind, Fault::Kind::kNone);
  EXPECT_NE((StressFailure{7, "I1: what", small}.text().find("bench simulate --stress --requests 200 --seed 7")),
            std::string::npos);
}

// ---- what it is for ----

SimulationResult batches(SchedulingPolicy policy) {
  SimulationOptions options;
  options.verify = false;
  options.load = {.requests = 1500, .asked_tokens = 500};
  options.scheduler = {.policy = policy, .max_sequences = 32};
  options.groups = {{32 * 34, 0}};
  options.cost = {6.5e6, 13.5e3, 1.5e3, 40};
  const FakeModel model{.windows = {0}};
  return Simulation(options, model, make_load(options.load, model)).run();
}

TEST(Simulation, ContinuousBatchingServesThreeTimesWhatStaticDoes) {
  const SimulationResult continuous = batches(SchedulingPolicy::kContinuous);
  const SimulationResult fixed = batches(SchedulingPolicy::kStatic);
  EXPECT_EQ(continuous.answer_tokens, fixed.answer_tokens);
  EXPECT_GT(static_cast<double>(fixed.simulated_ns) / static_cast<double>(continuous.simulated_ns), 3.0);
  EXPECT_LT(continuous.kv_waste, 0.06);
  EXPECT_GT(fixed.kv_waste, 0.5);
}

TEST(Lengths, ReadsWhatTheCommandLineSays) {
  EXPECT_EQ(Lengths::parse("128", "-x").draw(0.7), 128);
  const Lengths uniform = Lengths::parse("uniform:1:48", "-x");
  EXPECT_EQ(uniform.draw(0), 1);
  EXPECT_EQ(uniform.draw(0.9999), 48);
  const Lengths log = Lengths::parse("loguniform:10:500", "-x");
  EXPECT_EQ(log.draw(0), 10);
  EXPECT_EQ(log.draw(0.5), 71);  // their geometric mean
  for (const char* bad : {"", "0", "-1", "uniform", "uniform:1", "uniform:5:4", "normal:1:2", "uniform:1:2:3", "1e9"}) {
    EXPECT_THROW(Lengths::parse(bad, "-x"), Error) << bad;
  }
}

}  // namespace
}  // namespace tern
