// What this machine can do at best, measured by loops that do nothing else: the denominators of every share of a limit
// that tern prints. Each rate is the best of the loops that this processor runs (limits_impl.h has one row a loop),
// each of those the median of repeats. Takes some tenths of a second a thread count; for one caller at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "kernels/limits/limits_impl.h"

namespace tern {

// One loop's rate in 1e9 bytes or operations a second, all threads together.
struct LoopRate {
  std::string name;  // of the loop, and of what it read: "avx512_ahead4k huge"
  double rate = 0;
};

// With `threads` threads together, in 1e9 bytes or operations a second.
struct MachineLimits {
  int threads = 0;
  double read_4k_gbps = 0, read_huge_gbps = 0;  // memory, far more of it than the last cache holds
  double l2_gbps = 0, l3_gbps = 0;              // half a cache of each level, again and again; 0: there is none
  double int8_gops = 0, bf16_gflops = 0, f32_gflops = 0;
  double int8_tile_gops = 0, bf16_tile_gflops = 0;  // 0: there are no tiles
  uint64_t l2_bytes = 0, l3_bytes = 0;              // of a core, of a socket
  std::vector<LoopRate> loops;

  double read_gbps() const { return read_4k_gbps > read_huge_gbps ? read_4k_gbps : read_huge_gbps; }
  double peak_gops(Arithmetic arithmetic) const;
};

// For each of these thread counts (not empty, positive), in a pool of so many: workers that wait beside those that
// measure would slow them down, on a second thread of their core or by the processor's power.
std::vector<MachineLimits> measure_limits(const std::vector<int>& thread_counts);

// The loops that this processor runs: of reads those of its widest instruction set, of peaks all.
std::vector<const ReadLoop*> read_loops();
std::vector<const PeakLoop*> peak_loops();

}  // namespace tern
