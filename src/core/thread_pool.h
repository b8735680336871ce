// A team of threads that walks one piece of work together (SPMD), made for steps of a few milliseconds.
//
// run(work) calls work(team) once on every worker at the same time; the caller is worker 0. Inside, Team::sync() is a
// barrier. Workers spin briefly between runs and inside barriers, then park, so an idle pool costs nothing. A worker
// whose processor another process wants too stays out of some runs (team_sizing.h), so a run may have fewer workers
// than the pool: work must not depend on their number. At most as many workers as the cgroup and the affinity mask
// allow. One caller at a time; destroying the pool joins the workers.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "core/function_ref.h"
#include "core/team_sizing.h"
#include "core/topology.h"

namespace tern {

class ThreadPool;

// One worker's view of a running team. `index` in [0, size).
class Team {
 public:
  Team(int index, int size, ThreadPool* pool) : index_(index), size_(size), pool_(pool) {}
  int index() const { return index_; }
  int size() const { return size_; }
  // Waits until every worker has arrived; what they wrote before is visible after.
  void sync() const;
  // Waits until `count`, which other workers of this run only increase (and notify), is at least `least`.
  void wait_for(const std::atomic<uint32_t>& count, uint32_t least) const;
  // This worker's contiguous share of [0, count) in units of `grain`: shares differ by at most one grain.
  struct Range {
    int64_t begin, end;
  };
  Range share(int64_t count, int64_t grain = 1) const;

  // Work that was divided beforehand, evened out while it runs: this worker visits its own share in pieces from front
  // to back, then pieces that others have not come to (late, or off their processor). share_of(worker) is the same for
  // everybody; every piece is visited once, by one worker. At most one such walk between two sync()s.
  void each_piece(FunctionRef<Range(int)> share_of, FunctionRef<void(Range)> visit) const;

 private:
  int index_, size_;
  ThreadPool* pool_;
};

// The callable outlives the run and does not throw: with the other workers in a barrier there is nowhere to go, so an
// exception terminates.
using TeamWork = FunctionRef<void(const Team&)>;

// What the pool does beside running; each can be switched off, so that its effect can be measured.
struct ThreadPoolOptions {
  // Where the workers are as many as the CPUs or the cores, each is pinned to its own; with some to spare the system
  // places them better.
  bool pin = true;
  bool even_out = true;   // each_piece() goes on with what others have not come to
  bool leave_out = true;  // workers whose processor is wanted stay out of runs
  // TERN_THREADS: a comma list of -pin, -even-out, -leave-out. Throws bad_input for anything else.
  static ThreadPoolOptions from_environment();
};

class ThreadPool {
 public:
  // `threads` 0 means default_workers(). Throws Error{kResource} when a thread cannot be started.
  explicit ThreadPool(int threads, ThreadPoolOptions options = {});
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return size_; }
  void run(TeamWork work);

 private:
  friend class Team;
  // What one worker writes and others read now and then, on its own cache lines.
  struct alignas(128) Slot {
    std::atomic<uint32_t> go{0};            // bumped to start a run
    int index = 0;                          // in the team of the run
    uint32_t phase = 0;                     // barriers passed in this run
    std::atomic<int64_t> next[2] = {0, 0};  // the next piece of its share, of walks in even and odd phases
    TeamSizing::Worker seen;                // of the run
  };
  void start_workers();
  void place_caller() const;
  void stop_workers();
  void worker_main(int worker);
  void take_part(int worker) noexcept;
  int64_t barrier(Slot& slot);
  Slot& slot_of(int team_index) { return slots_[static_cast<size_t>(members_[static_cast<size_t>(team_index)])]; }

  ThreadPoolOptions options_;
  int size_;
  bool stopping_ = false;
  TeamWork work_;
  TeamSizing sizing_;
  std::vector<Cpu> cpus_;  // [size] where each worker is pinned, the caller when it takes part in a full team; or empty
  std::vector<int> members_;  // of the run: team index -> worker
  std::vector<Slot> slots_;   // [size]
  std::vector<TeamSizing::Worker> seen_;
  alignas(64) std::atomic<uint32_t> arrived_{0};  // workers waiting in the current barrier
  alignas(64) std::atomic<uint32_t> opened_{0};   // bumped when a barrier opens
  std::vector<std::jthread> threads_;
};

}  // namespace tern
