// Order of those that wait: priority, then the tenant served least, then arrival.
#include "engine/scheduler/wait_queue.h"

#include <gtest/gtest.h>

#include <deque>

namespace tern {
namespace {

class WaitQueueTest : public ::testing::Test {
 protected:
  Sequence* push(uint32_t tenant, int32_t priority, uint64_t arrival) {
    Sequence& s = sequences_.emplace_back();
    s.request.scheduling.tenant = tenant;
    s.request.scheduling.priority = priority;
    s.arrival = arrival;
    queue_.join(tenant);
    queue_.push(&s);
    return &s;
  }
  std::vector<uint64_t> order() {
    std::vector<uint64_t> out;
    WaitQueue::Scan scan(queue_);
    while (const Sequence* s = scan.next()) out.push_back(s->arrival);
    return out;
  }
  WaitQueue queue_;
  std::deque<Sequence> sequences_;
};

TEST_F(WaitQueueTest, ComesByPriorityThenByArrival) {
  push(0, 1, 0), push(0, 0, 1), push(0, 1, 2), push(0, -5, 3);
  EXPECT_EQ(order(), (std::vector<uint64_t>{3, 1, 0, 2}));
}

TEST_F(WaitQueueTest, APreemptedOneComesBackToItsPlace) {
  push(0, 0, 0), push(0, 0, 5), push(0, 0, 9), push(0, 0, 7), push(0, 0, 3);
  EXPECT_EQ(order(), (std::vector<uint64_t>{0, 3, 5, 7, 9}));
}

TEST_F(WaitQueueTest, TheTenantServedLeastComesFirst) {
  push(1, 0, 0), push(2, 0, 1), push(1, 0, 2), push(2, 0, 3);
  queue_.charge(1, 10);
  EXPECT_EQ(order(), (std::vector<uint64_t>{1, 3, 0, 2}));
  WaitQueue::Scan scan(queue_);
  EXPECT_EQ(scan.next()->arrival, 1u);
  queue_.charge(2, 100);  // served on the way: the next one is the other's
  EXPECT_EQ(scan.next()->arrival, 0u);
}

TEST_F(WaitQueueTest, TheOneGivenMayBeTakenOut) {
  push(0, 0, 0), push(0, 0, 1), push(0, 1, 2);
  WaitQueue::Scan scan(queue_);
  while (Sequence* s = scan.next()) queue_.remove(s);
  EXPECT_EQ(queue_.size(), 0);
  EXPECT_TRUE(order().empty());
}

TEST_F(WaitQueueTest, NobodySavesUpWhileAway) {
  push(1, 0, 0);
  queue_.charge(1, 1000);
  push(2, 0, 1);
  EXPECT_EQ(queue_.served(2), 1000);
  queue_.charge(2, 500);
  queue_.leave(1);
  queue_.join(1);  // back at once: what it was given is not forgotten, nor made up for
  EXPECT_EQ(queue_.served(1), 1500);
}

}  // namespace
}  // namespace tern
