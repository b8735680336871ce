// A team of threads that walks one piece of work together (SPMD), made for steps of a few milliseconds.
//
// run(work) calls work(team) once on every worker at the same time; the caller is worker 0. Inside, Team::sync() is a
// barrier. Workers spin briefly between runs and inside barriers, then park, so an idle pool costs nothing and a second
// busy process does not turn spinning into a collapse. At most as many workers as the cgroup and the affinity mask
// allow. One caller at a time; destroying the pool joins the workers.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

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
  // This worker's contiguous share of [0, count) in units of `grain`: shares differ by at most one grain.
  struct Range {
    int64_t begin, end;
  };
  Range share(int64_t count, int64_t grain = 1) const;

 private:
  int index_, size_;
  ThreadPool* pool_;
};

// A reference to a callable `void(const Team&)`; the callable outlives the run and does not throw: with the other
// workers in a barrier there is nowhere to go, so an exception terminates.
class TeamWork {
 public:
  template <typename F>
  TeamWork(const F& f)  // NOLINT: implicit on purpose
      : object_(&f), call_([](const void* object, const Team& team) { (*static_cast<const F*>(object))(team); }) {}
  void operator()(const Team& team) const noexcept { call_(object_, team); }

 private:
  const void* object_;
  void (*call_)(const void*, const Team&);
};

class ThreadPool {
 public:
  // `threads` 0 means available_cpus(). Where `pin` is set and every CPU of the affinity mask gets a worker, each is
  // pinned to its own; with CPUs to spare the system places them better. Throws Error{kResource} when a thread cannot
  // be started.
  explicit ThreadPool(int threads, bool pin = true);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return size_; }
  void run(TeamWork work);

 private:
  friend class Team;
  void start_workers(const std::vector<int>& pin_to);
  void stop_workers();
  void worker_main(int index);
  void barrier();

  int size_;
  bool stopping_ = false;
  TeamWork work_;
  alignas(64) std::atomic<uint32_t> generation_{0};  // bumped to start a run
  alignas(64) std::atomic<uint32_t> arrived_{0};     // workers waiting in the current barrier
  alignas(64) std::atomic<uint32_t> phase_{0};       // bumped when a barrier opens
  std::vector<std::jthread> threads_;
};

// CPUs that this process may use: affinity mask, bounded by the cgroup's quota (rounded up), at least 1.
int available_cpus();

}  // namespace tern
