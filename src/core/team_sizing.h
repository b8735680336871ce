// How many workers the next run of a thread pool should have, when other processes want the processors too.
//
// Workers that wait for each other many times a run lose far more than a neighbour takes: a worker that is off its
// processor for a scheduler's slice of some milliseconds stops them all. When one worker was taken off its processor
// and the time that the others waited for it outweighs what it contributes, runs go on without it for a while, then try
// again. With W workers a run takes u/W + lost, with W - 1 it takes u/(W - 1): the worker pays while lost is less than
// 1/(W - 1) of the time not lost.
//
// A pure state machine: told what was measured, owned by the pool, one thread. Results do not depend on it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tern {

class TeamSizing {
 public:
  explicit TeamSizing(int workers);

  // The workers of the next run, in team order; the first is always 0, the caller.
  std::span<const int> members() const { return {order_.data(), static_cast<size_t>(active_)}; }

  struct Worker {
    int64_t parked_ns = 0;    // waited in barriers, asleep, during the run
    int64_t preemptions = 0;  // times that the system took it off its processor
  };
  // One run that ended at `now_ns` after `wall_ns`; `workers` is indexed by worker, those outside the run zero.
  void observe(int64_t now_ns, int64_t wall_ns, std::span<const Worker> workers);

 private:
  void judge(int64_t now_ns);
  void clear_window();

  std::vector<int> order_;  // active workers first
  int active_;
  std::vector<Worker> window_;
  int64_t window_ns_ = 0;
  int64_t pause_ns_;          // how long a worker stays out the next time
  int64_t resume_at_ns_ = 0;  // when the full team is tried again
};

}  // namespace tern
