#include "core/thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <system_error>

#include "core/error.h"

namespace tern {
namespace {

// About 30 µs of spinning (a pause takes 15-20 ns on Zen 4, up to 45 ns on recent Intel cores): longer than the usual
// gap inside a step, and so short that a busy neighbour on the same processor soon gets it.
constexpr int kSpinIterations = 1'500;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Waits until `word` differs from `old`: spin first, then park in the kernel.
void wait_change(const std::atomic<uint32_t>& word, uint32_t old) {
  for (int i = 0; i < kSpinIterations; ++i) {
    if (word.load(std::memory_order_acquire) != old) return;
    relax();
  }
  while (word.load(std::memory_order_acquire) == old) word.wait(old, std::memory_order_acquire);
}

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
  }
  return cpus;
}

// CPUs' worth of time that the cgroup grants, 0 when it sets no limit.
double cgroup_cpus() {
  std::ifstream v2("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (v2 >> quota >> period) return quota == "max" || period <= 0 ? 0 : std::strtod(quota.c_str(), nullptr) / period;
  std::ifstream v1_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), v1_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  double quota_us = 0;
  if (v1_quota >> quota_us && v1_period >> period && quota_us > 0 && period > 0) return quota_us / period;
  return 0;
}

}  // namespace

int available_cpus() {
  int cpus = std::max<int>(1, static_cast<int>(allowed_cpus().size()));
  const double granted = cgroup_cpus();
  if (granted > 0) cpus = std::min(cpus, std::max(1, static_cast<int>(std::ceil(granted))));
  return cpus;
}

Team::Range Team::share(int64_t count, int64_t grain) const {
  const int64_t units = (count + grain - 1) / grain;
  const int64_t begin = units * index_ / size_ * grain;
  const int64_t end = units * (index_ + 1) / size_ * grain;
  return {std::min(begin, count), std::min(end, count)};
}

void Team::sync() const {
  if (size_ > 1) pool_->barrier();
}

ThreadPool::ThreadPool(int threads, bool pin)
    : size_(std::clamp(threads > 0 ? threads : available_cpus(), 1, available_cpus())), work_([](const Team&) {}) {
  std::vector<int> cpus = allowed_cpus();
  if (!pin || static_cast<int>(cpus.size()) != size_) cpus.clear();
  try {
    start_workers(cpus);
  } catch (const std::system_error& error) {
    stop_workers();
    fail(ErrorCode::kResource, "[threads] " + std::to_string(size_) + " threads cannot be started: " + error.what());
  }
}

ThreadPool::~ThreadPool() { stop_workers(); }

void ThreadPool::start_workers(const std::vector<int>& pin_to) {
  for (int i = 1; i < size_; ++i) {
    threads_.emplace_back([this, i] { worker_main(i); });
    if (pin_to.empty()) continue;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(pin_to[static_cast<size_t>(i)], &set);
    pthread_setaffinity_np(threads_.back().native_handle(), sizeof set, &set);  // a hint: failure changes nothing
  }
}

void ThreadPool::stop_workers() {
  stopping_ = true;
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  threads_.clear();  // joins
}

void ThreadPool::run(TeamWork work) {
  work_ = work;
  if (size_ > 1) {
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
  }
  work_(Team(0, size_, this));
  if (size_ > 1) barrier();
}

void ThreadPool::worker_main(int index) {
  uint32_t seen = 0;
  for (;;) {
    wait_change(generation_, seen);
    ++seen;
    if (stopping_) return;
    work_(Team(index, size_, this));
    barrier();
  }
}

void ThreadPool::barrier() {
  const uint32_t phase = phase_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == static_cast<uint32_t>(size_)) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.fetch_add(1, std::memory_order_release);
    phase_.notify_all();
  } else {
    wait_change(phase_, phase);
  }
}

}  // namespace tern
