// How many workers a run gets: a neighbour on one processor takes its worker out, imbalance of the work does not.
#include "core/team_sizing.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace tern {
namespace {

using Worker = TeamSizing::Worker;
constexpr int64_t kMs = 1'000'000;

// `runs` runs of 5 ms, all alike.
int64_t observe(TeamSizing& sizing, int64_t now_ns, int runs, const std::vector<Worker>& workers) {
  for (int i = 0; i < runs; ++i) sizing.observe(now_ns += 5 * kMs, 5 * kMs, workers);
  return now_ns;
}

bool has(const TeamSizing& sizing, int worker) {
  const auto members = sizing.members();
  return std::find(members.begin(), members.end(), worker) != members.end();
}

TEST(TeamSizing, QuietWorkersStay) {
  TeamSizing sizing(4);
  observe(sizing, 0, 100, std::vector<Worker>(4));
  EXPECT_EQ(sizing.members().size(), 4u);
}

TEST(TeamSizing, AWorkerThatLosesItsProcessorStaysOutForAWhile) {
  TeamSizing sizing(4);
  const Worker waited{3 * kMs, 0}, preempted{0, 2};
  const int64_t now = observe(sizing, 0, 4, {waited, waited, preempted, waited});
  ASSERT_EQ(sizing.members().size(), 3u);
  EXPECT_FALSE(has(sizing, 2));
  EXPECT_EQ(sizing.members()[0], 0);
  observe(sizing, now, 20, std::vector<Worker>(4));
  EXPECT_EQ(sizing.members().size(), 4u) << "it is tried again";
}

TEST(TeamSizing, ANeighbourThatStaysIsTriedMoreAndMoreSeldom) {
  TeamSizing sizing(2);
  int64_t now = 0;
  int full = 0;
  for (int run = 0; run < 4000; ++run) {  // 20 s
    const bool both = sizing.members().size() == 2;
    full += both;
    sizing.observe(now += 5 * kMs, 5 * kMs, both ? std::vector<Worker>{{4 * kMs, 0}, {0, 1}} : std::vector<Worker>(2));
  }
  EXPECT_GT(full, 20);
  EXPECT_LT(full, 120) << "3 % of the runs";
}

// The caller cannot stay out; another worker does, so that the system has a free processor to move it to.
TEST(TeamSizing, TheCallerAlwaysTakesPart) {
  TeamSizing sizing(2);
  observe(sizing, 0, 4, {{0, 3}, {4 * kMs, 0}});
  ASSERT_EQ(sizing.members().size(), 1u);
  EXPECT_EQ(sizing.members()[0], 0);
}

// Some workers wait because the work is uneven: nobody was preempted, or several work.
TEST(TeamSizing, UnevenWorkIsNotANeighbour) {
  TeamSizing nobody_preempted(4);
  observe(nobody_preempted, 0, 40, {{0, 0}, {4 * kMs, 0}, {4 * kMs, 0}, {4 * kMs, 0}});
  EXPECT_EQ(nobody_preempted.members().size(), 4u);
  TeamSizing two_work(4);
  observe(two_work, 0, 40, {{0, 1}, {0, 1}, {4 * kMs, 0}, {4 * kMs, 0}});
  EXPECT_EQ(two_work.members().size(), 4u);
}

// A slice lost now and then costs less than the worker is worth.
TEST(TeamSizing, AShortInterruptionIsBorne) {
  TeamSizing sizing(2);
  observe(sizing, 0, 40, {{kMs / 2, 0}, {0, 1}});
  EXPECT_EQ(sizing.members().size(), 2u);
}

}  // namespace
}  // namespace tern
