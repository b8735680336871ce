// The team of threads: every worker runs once, barriers order memory, shares cover the work.
#include "core/thread_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <thread>
#include <vector>

namespace tern {
namespace {

std::vector<int> sizes() {
  std::vector<int> all{1};
  if (available_cpus() > 1) all.push_back(2);
  if (available_cpus() > 2) all.push_back(available_cpus());
  return all;
}

TEST(ThreadPool, EveryWorkerRunsOnceARun) {
  for (const int size : sizes()) {
    ThreadPool pool(size);
    ASSERT_EQ(pool.size(), size);
    std::vector<int> runs(static_cast<size_t>(size));
    for (int i = 0; i < 2000; ++i) {
      pool.run([&](const Team& team) {
        EXPECT_EQ(team.size(), size);
        ++runs[static_cast<size_t>(team.index())];  // each worker its own element
      });
      for (const int count : runs) ASSERT_EQ(count, i + 1) << "run() returns after all have finished";
    }
  }
}

TEST(ThreadPool, TheCallerIsWorkerZero) {
  ThreadPool pool(0);
  EXPECT_EQ(pool.size(), available_cpus());
  std::vector<std::thread::id> ids(static_cast<size_t>(pool.size()));
  pool.run([&](const Team& team) { ids[static_cast<size_t>(team.index())] = std::this_thread::get_id(); });
  EXPECT_EQ(ids[0], std::this_thread::get_id());
  EXPECT_EQ(std::set<std::thread::id>(ids.begin(), ids.end()).size(), ids.size());
}

// A chain of phases, each of which reads what the other workers wrote in the phase before.
TEST(ThreadPool, BarriersOrderMemory) {
  constexpr int kPhases = 5000;
  for (const int size : sizes()) {
    ThreadPool pool(size);
    std::vector<int64_t> cells(static_cast<size_t>(size)), next(cells.size());
    pool.run([&](const Team& team) {
      for (int phase = 0; phase < kPhases; ++phase) {
        int64_t sum = 0;
        for (const int64_t cell : cells) sum += cell;
        next[static_cast<size_t>(team.index())] = sum % 1'000'003 + team.index() + 1;
        team.sync();
        cells[static_cast<size_t>(team.index())] = next[static_cast<size_t>(team.index())];
        team.sync();
      }
    });
    std::vector<int64_t> expected(cells.size());
    for (int phase = 0; phase < kPhases; ++phase) {
      int64_t sum = 0;
      for (const int64_t cell : expected) sum += cell;
      for (size_t i = 0; i < expected.size(); ++i) expected[i] = sum % 1'000'003 + static_cast<int64_t>(i) + 1;
    }
    EXPECT_EQ(cells, expected);
  }
}

// Every piece once, walk after walk, whoever comes late.
TEST(ThreadPool, WalksVisitEveryPieceOnce) {
  for (const int size : sizes()) {
    ThreadPool pool(size);
    std::vector<std::atomic<int>> visits(1000);
    for (int run = 1; run <= 50; ++run) {
      pool.run([&](const Team& team) {
        for (int walk = 0; walk < 4; ++walk) {
          if (walk > 0) team.sync();
          if (team.index() == run % team.size()) std::this_thread::sleep_for(std::chrono::microseconds(50));
          const auto share_of = [&](int worker) { return Team(worker, team.size(), nullptr).share(1000); };
          team.each_piece(share_of, [&](Team::Range piece) {
            for (int64_t i = piece.begin; i < piece.end; ++i) ++visits[static_cast<size_t>(i)];
          });
        }
      });
      for (const std::atomic<int>& count : visits) ASSERT_EQ(count, 4 * run);
    }
  }
}

// What a worker that does not come leaves undone, the others do.
TEST(ThreadPool, WalksGoOnWithoutALateWorker) {
  ThreadPool pool(0);
  if (pool.size() == 1) GTEST_SKIP() << "one processor";
  std::vector<int> visitor(64, -1);
  pool.run([&](const Team& team) {
    const auto share_of = [&](int worker) { return Team(worker, team.size(), nullptr).share(64); };
    team.each_piece(share_of, [&](Team::Range piece) {
      if (team.index() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(20));
      for (int64_t i = piece.begin; i < piece.end; ++i) visitor[static_cast<size_t>(i)] = team.index();
    });
  });
  EXPECT_LE(std::count(visitor.begin(), visitor.end(), 1), 64 / pool.size() / 2);
}

TEST(ThreadPool, WakesAfterParking) {
  ThreadPool pool(0);
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // far longer than workers spin
    std::atomic<int> ran{0};
    pool.run([&](const Team&) { ++ran; });
    EXPECT_EQ(ran, pool.size());
  }
}

TEST(ThreadPool, ComesAndGoes) {
  for (int i = 0; i < 100; ++i) {
    ThreadPool pool(0, {.pin = i % 2 == 0});
    if (i % 3 == 0) pool.run([](const Team& team) { team.sync(); });
  }
}

TEST(ThreadPool, NeverMoreThanTheMachineGrants) {
  EXPECT_GE(available_cpus(), 1);
  EXPECT_EQ(ThreadPool(100'000).size(), available_cpus());
}

TEST(Team, SharesCoverTheWorkInOrder) {
  for (const int size : {1, 2, 3, 7, 64}) {
    for (const int64_t grain : {1, 4, 16, 100}) {
      for (const int64_t count : {0, 1, 5, 16, 63, 64, 65, 1000}) {
        int64_t at = 0, smallest = INT64_MAX, largest = 0;
        for (int index = 0; index < size; ++index) {
          const auto [begin, end] = Team(index, size, nullptr).share(count, grain);
          ASSERT_EQ(begin, at);
          ASSERT_LE(begin, end);
          ASSERT_TRUE(begin % grain == 0 || begin == count);
          at = end;
          smallest = std::min(smallest, end - begin);
          largest = std::max(largest, end - begin);
        }
        ASSERT_EQ(at, count);
        ASSERT_LE(largest - smallest, 2 * grain - 1) << "one grain, and what the last one lacks";
      }
    }
  }
}

}  // namespace
}  // namespace tern
