#include "core/thread_pool.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <system_error>

#include "core/error.h"
#include "core/switch_list.h"

namespace tern {
namespace {

// About 30 µs of spinning (a pause takes 15-20 ns on Zen 4, up to 45 ns on recent Intel cores): longer than the usual
// gap inside a step, and so short that a busy neighbour on the same processor soon gets it.
constexpr int kSpinIterations = 1'500;
// Pieces of a worker's share: what is left when a worker is late is a third of it. More of them even out more and cost
// more: decoding SmolLM2 with 2 workers, 635 tokens/s with 2 or 3 pieces, 625 with 4, 595 with 8; beside a busy process
// all the same (2 cores of Zen 5).
constexpr int64_t kPiecesPerShare = 3;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

int64_t preemptions_of_this_thread() {
  rusage usage{};
  return ::getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nivcsw : 0;
}

// Waits until enough(word): spin first, then park in the kernel. Returns the nanoseconds parked.
template <typename Enough>
int64_t wait_until(const std::atomic<uint32_t>& word, const Enough& enough) {
  for (int i = 0; i < kSpinIterations; ++i) {
    if (enough(word.load(std::memory_order_acquire))) return 0;
    relax();
  }
  const int64_t parked_ns = now_ns();
  for (uint32_t value = word.load(std::memory_order_acquire); !enough(value);
       value = word.load(std::memory_order_acquire)) {
    word.wait(value, std::memory_order_acquire);
  }
  return now_ns() - parked_ns;
}

int64_t wait_change(const std::atomic<uint32_t>& word, uint32_t old) {
  return wait_until(word, [old](uint32_t value) { return value != old; });
}

// One CPU a worker, where the workers are as many as the CPUs or as the cores; else none.
std::vector<Cpu> cpus_to_pin(int workers) {
  std::vector<Cpu> cpus = allowed_cpus();
  const auto cores = std::count_if(cpus.begin(), cpus.end(), [](const Cpu& cpu) { return cpu.sibling == 0; });
  if (workers == cores) cpus.resize(static_cast<size_t>(cores));
  if (workers != static_cast<int>(cpus.size())) cpus.clear();
  return cpus;
}

cpu_set_t only(const Cpu& cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu.id, &set);
  return set;
}

}  // namespace

Team::Range Team::share(int64_t count, int64_t grain) const {
  const int64_t units = (count + grain - 1) / grain;
  const int64_t begin = units * index_ / size_ * grain;
  const int64_t end = units * (index_ + 1) / size_ * grain;
  return {std::min(begin, count), std::min(end, count)};
}

void Team::sync() const {
  if (size_ == 1) return;
  ThreadPool::Slot& slot = pool_->slot_of(index_);
  slot.seen.parked_ns += pool_->barrier(slot);
}

void Team::wait_for(const std::atomic<uint32_t>& count, uint32_t least) const {
  const int64_t parked_ns = wait_until(count, [least](uint32_t value) { return value >= least; });
  if (size_ > 1) pool_->slot_of(index_).seen.parked_ns += parked_ns;
}

void Team::each_piece(FunctionRef<Range(int)> share_of, FunctionRef<void(Range)> visit) const {
  if (size_ == 1) {
    const Range all = share_of(0);
    if (all.begin < all.end) visit(all);
    return;
  }
  const uint32_t set = pool_->slot_of(index_).phase % 2;
  const int owners = pool_->options_.even_out ? size_ : 1;
  for (int i = 0; i < owners; ++i) {
    const int owner = (index_ + i) % size_;
    std::atomic<int64_t>& next = pool_->slot_of(owner).next[set];
    const Range share = share_of(owner);
    const int64_t piece = std::max<int64_t>(1, (share.end - share.begin + kPiecesPerShare - 1) / kPiecesPerShare);
    while (share.begin + next.load(std::memory_order_relaxed) * piece < share.end) {
      const int64_t begin = share.begin + next.fetch_add(1, std::memory_order_relaxed) * piece;
      if (begin < share.end) visit({begin, std::min(begin + piece, share.end)});
    }
  }
}

ThreadPoolOptions ThreadPoolOptions::from_environment() {
  ThreadPoolOptions options;
  read_switches("TERN_THREADS", "[threads]",
                {{"pin", &options.pin}, {"even-out", &options.even_out}, {"leave-out", &options.leave_out}});
  return options;
}

ThreadPool::ThreadPool(int threads, ThreadPoolOptions options)
    : options_(options),
      size_(std::clamp(threads > 0 ? threads : default_workers(), 1, available_cpus())),
      sizing_(size_),
      cpus_(options.pin ? cpus_to_pin(size_) : std::vector<Cpu>{}),
      slots_(static_cast<size_t>(size_)),
      seen_(static_cast<size_t>(size_)) {
  members_.reserve(slots_.size());
  try {
    start_workers();
  } catch (const std::system_error& error) {
    stop_workers();
    fail(ErrorCode::kResource, "[threads] " + std::to_string(size_) + " threads cannot be started: " + error.what());
  }
}

ThreadPool::~ThreadPool() { stop_workers(); }

void ThreadPool::start_workers() {
  for (int i = 1; i < size_; ++i) {
    threads_.emplace_back([this, i] { worker_main(i); });
    if (cpus_.empty()) continue;
    const cpu_set_t set = only(cpus_[static_cast<size_t>(i)]);
    pthread_setaffinity_np(threads_.back().native_handle(), sizeof set, &set);  // a hint: failure changes nothing
  }
}

// The caller is not ours to pin, but where it sits on another worker's processor the system leaves it there, and the
// two take turns: decoding on 2 processors was 7 times slower. So it is moved, and keeps its own mask.
void ThreadPool::place_caller() const {
  if (cpus_.empty() || sched_getcpu() == cpus_[0].id) return;
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) != 0 || !CPU_ISSET(cpus_[0].id, &mask)) return;
  const cpu_set_t first = only(cpus_[0]);
  sched_setaffinity(0, sizeof first, &first);
  sched_setaffinity(0, sizeof mask, &mask);
}

void ThreadPool::stop_workers() {
  stopping_ = true;
  for (Slot& slot : slots_) {
    slot.go.fetch_add(1, std::memory_order_release);
    slot.go.notify_one();
  }
  threads_.clear();  // joins
}

void ThreadPool::run(TeamWork work) {
  if (size_ == 1) return work(Team(0, 1, this));
  work_ = work;
  members_.assign(sizing_.members().begin(), sizing_.members().end());
  if (members_.size() == slots_.size()) place_caller();
  std::fill(seen_.begin(), seen_.end(), TeamSizing::Worker{});
  const int64_t begin_ns = now_ns();
  for (size_t i = 0; i < members_.size(); ++i) {
    Slot& slot = slots_[static_cast<size_t>(members_[i])];
    slot.index = static_cast<int>(i);
    slot.phase = 0;
    slot.next[0].store(0, std::memory_order_relaxed);
    slot.next[1].store(0, std::memory_order_relaxed);
  }
  for (size_t i = 1; i < members_.size(); ++i) {
    Slot& slot = slots_[static_cast<size_t>(members_[i])];
    slot.go.fetch_add(1, std::memory_order_release);
    slot.go.notify_one();
  }
  take_part(0);
  for (const int worker : members_) seen_[static_cast<size_t>(worker)] = slots_[static_cast<size_t>(worker)].seen;
  const int64_t end_ns = now_ns();
  if (options_.leave_out) sizing_.observe(end_ns, end_ns - begin_ns, seen_);
}

// A run of one worker, from its start to the barrier behind it.
void ThreadPool::take_part(int worker) noexcept {
  Slot& slot = slots_[static_cast<size_t>(worker)];
  const int64_t before = preemptions_of_this_thread();
  slot.seen = {};
  work_(Team(slot.index, static_cast<int>(members_.size()), this));
  slot.seen.preemptions = preemptions_of_this_thread() - before;
  if (members_.size() > 1) barrier(slot);
}

void ThreadPool::worker_main(int worker) {
  uint32_t seen = 0;
  for (;;) {
    wait_change(slots_[static_cast<size_t>(worker)].go, seen);
    ++seen;
    if (stopping_) return;
    take_part(worker);
  }
}

// Returns the nanoseconds parked. Behind the last barrier of a run the slot belongs to the caller of the next.
int64_t ThreadPool::barrier(Slot& slot) {
  const uint32_t opened = opened_.load(std::memory_order_acquire);
  // Read before arriving: from the last barrier's opening on the caller may make the team of the next run.
  const auto size = static_cast<uint32_t>(members_.size());
  // The walk of the phase before this one is over for everybody: its counter may begin anew for the next phase.
  slot.next[++slot.phase % 2].store(0, std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size) {
    arrived_.store(0, std::memory_order_relaxed);
    opened_.fetch_add(1, std::memory_order_release);
    opened_.notify_all();
    return 0;
  }
  return wait_change(opened_, opened);
}

}  // namespace tern
