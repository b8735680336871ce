#include "kernels/limits/limits.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "core/clock.h"
#include "core/error.h"
#include "kernels/selection.h"

namespace tern {
namespace {

constexpr int kRepeats = 7;
// A repeat takes a millisecond or two: much longer than waking the workers, and shorter than a time slice.
constexpr int64_t kPeakIterations = 200'000;
constexpr int64_t kReadBytesPerThread = 32 << 20;
constexpr int64_t kCacheBytesPerThread = 64 << 20;  // of a cache, in rounds over the part that is read
constexpr int64_t kPageBytes = 4096;

// "1024K" of the first CPU's cache of this level that holds data; 0 when the system does not tell.
uint64_t cache_bytes(int level) {
  for (int index = 0; index < 8; ++index) {
    const std::string folder = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/";
    int found = 0;
    std::string type, unit;
    uint64_t size = 0;
    if (!(std::ifstream(folder + "level") >> found) || found != level) continue;
    if (!(std::ifstream(folder + "type") >> type) || type == "Instruction") continue;
    if (std::ifstream file(folder + "size"); file >> size) {
      file >> unit;
      return size << (unit == "M" ? 20 : unit == "K" ? 10 : 0);
    }
  }
  return 0;
}

// Anonymous memory in pages of one kind, as far as the system grants them; every page is resident.
class Pages {
 public:
  Pages(int64_t bytes, bool huge, ThreadPool& pool) : bytes_(static_cast<size_t>(bytes)) {
    void* at = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
      fail(ErrorCode::kResource, "[limits] " + std::to_string(bytes) + " bytes to read are not available");
    }
    ::madvise(at, bytes_, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    data_ = static_cast<std::byte*>(at);
    pool.run([&](const Team& team) {
      const Team::Range share = team.share(bytes, 2 << 20);
      std::memset(data_ + share.begin, 1, static_cast<size_t>(share.end - share.begin));
    });
  }
  ~Pages() { ::munmap(data_, bytes_); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  std::byte* data() const { return data_; }

 private:
  size_t bytes_;
  std::byte* data_ = nullptr;
};

// Which of the limits is the peak of what.
double MachineLimits::* peak_of(Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::kF32:
      return &MachineLimits::f32_gflops;
    case Arithmetic::kBf16:
      return &MachineLimits::bf16_gflops;
    case Arithmetic::kInt8:
      return &MachineLimits::int8_gops;
    case Arithmetic::kBf16Tile:
      return &MachineLimits::bf16_tile_gflops;
    case Arithmetic::kInt8Tile:
      return &MachineLimits::int8_tile_gops;
  }
  TERN_CHECK(false);
  return nullptr;
}

void keep(int64_t value) { asm volatile("" : : "r"(value)); }

// What is read; its pages are spread over the workers of `pool`, which is not needed afterwards.
struct Memory {
  explicit Memory(ThreadPool&& pool) : small(bytes, false, pool), huge(bytes, true, pool) {}

  const uint64_t l2_bytes = cache_bytes(2), l3_bytes = cache_bytes(3);
  // Four times the last cache, so that a slice has left it when its turn comes again.
  const int64_t bytes = std::max<int64_t>(256 << 20, 4 * static_cast<int64_t>(l3_bytes));
  Pages small, huge;
};

// The rates of one pool.
class Meter {
 public:
  Meter(const Memory& memory, ThreadPool& pool) : memory_(memory), pool_(pool), threads_(pool.size()) {}

  MachineLimits measure() const {
    MachineLimits limits{.threads = threads_, .l2_bytes = memory_.l2_bytes, .l3_bytes = memory_.l3_bytes};
    for (const PeakLoop* loop : peak_loops()) {
      const double gops = peak_gops(*loop);
      double& best = limits.*peak_of(loop->arithmetic);
      best = std::max(best, gops);
      limits.loops.push_back({loop->name, gops});
    }
    // Without an instruction of their own, bf16 values are widened and multiplied as f32.
    if (limits.bf16_gflops == 0) limits.bf16_gflops = limits.f32_gflops;
    for (const ReadLoop* loop : read_loops()) {
      const double small = read_gbps(*loop, memory_.small), huge = read_gbps(*loop, memory_.huge);
      limits.read_4k_gbps = std::max(limits.read_4k_gbps, small);
      limits.read_huge_gbps = std::max(limits.read_huge_gbps, huge);
      limits.loops.push_back({std::string(loop->name) + " 4k", small});
      limits.loops.push_back({std::string(loop->name) + " huge", huge});
      limits.l2_gbps = std::max(limits.l2_gbps, cache_gbps(*loop, memory_.l2_bytes / 2));
      limits.l3_gbps =
          std::max(limits.l3_gbps, cache_gbps(*loop, memory_.l3_bytes / 2 / static_cast<unsigned>(threads_)));
    }
    return limits;
  }

 private:
  // Median of the seconds that work(share, repeat) takes, a share a worker.
  template <typename Work>
  double seconds(const Work& work) const {
    double samples[kRepeats];
    for (int repeat = 0; repeat < kRepeats; ++repeat) {
      const int64_t begin = SteadyClock().now_ns();
      pool_.run([&](const Team& team) { work(team.index(), repeat); });
      samples[repeat] = static_cast<double>(SteadyClock().now_ns() - begin) / 1e9;
    }
    std::nth_element(samples, samples + kRepeats / 2, samples + kRepeats);
    return samples[kRepeats / 2];
  }

  double peak_gops(const PeakLoop& loop) const {
    const double took = seconds([&](int, int) { loop.run(kPeakIterations); });
    return loop.ops * static_cast<double>(kPeakIterations) * threads_ / took / 1e9;
  }

  // Slice after slice, a share of it a worker.
  double read_gbps(const ReadLoop& loop, const Pages& pages) const {
    const int64_t share = std::min(kReadBytesPerThread, memory_.bytes / 4 / threads_ / kPageBytes * kPageBytes);
    const int64_t slice = share * threads_, slices = memory_.bytes / slice;
    const double took = seconds([&](int worker, int repeat) {
      keep(loop.run(pages.data() + repeat % slices * slice + worker * share, share));
    });
    return static_cast<double>(slice) / took / 1e9;
  }

  // Each worker reads the same `bytes` of its own again and again.
  double cache_gbps(const ReadLoop& loop, uint64_t bytes) const {
    const int64_t part = static_cast<int64_t>(bytes) / kPageBytes * kPageBytes;
    if (part == 0) return 0;
    const int64_t rounds = std::max<int64_t>(1, kCacheBytesPerThread / part);
    const double took = seconds([&](int worker, int) {
      for (int64_t i = 0; i < rounds; ++i) keep(loop.run(memory_.huge.data() + worker * part, part));
    });
    return static_cast<double>(rounds * part * threads_) / took / 1e9;
  }

  const Memory& memory_;
  ThreadPool& pool_;
  int threads_;
};

template <typename Loop>
void append_available(const LoopSpan<Loop>& span, std::vector<const Loop*>& loops) {
  for (int i = 0; i < span.count; ++i) {
    if ((span.rows[i].needs & ~detect_isa()) == 0) loops.push_back(span.rows + i);
  }
}

}  // namespace

std::vector<const ReadLoop*> read_loops() {
  std::vector<const ReadLoop*> loops;
  for (const auto* span : {&kReadLoopsAvx512, &kReadLoopsAvx2, &kReadLoopsRef}) {
    if (loops.empty()) append_available(*span, loops);
  }
  return loops;
}

std::vector<const PeakLoop*> peak_loops() {
  std::vector<const PeakLoop*> loops;
  for (const auto* span : {&kPeakLoopsAmx, &kPeakLoopsAvx512, &kPeakLoopsAvx2, &kPeakLoopsRef})
    append_available(*span, loops);
  return loops;
}

double MachineLimits::peak_gops(Arithmetic arithmetic) const { return this->*peak_of(arithmetic); }

std::vector<MachineLimits> measure_limits(const std::vector<int>& thread_counts) {
  TERN_CHECK(!thread_counts.empty());
  constexpr ThreadPoolOptions kAll{.leave_out = false};
  const Memory memory(ThreadPool(*std::max_element(thread_counts.begin(), thread_counts.end()), kAll));
  std::vector<MachineLimits> limits;
  for (const int threads : thread_counts) {
    ThreadPool pool(threads, kAll);
    limits.push_back(Meter(memory, pool).measure());
  }
  return limits;
}

}  // namespace tern
