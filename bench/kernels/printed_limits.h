// The machine's limits with so many threads, measured and printed: the head of a benchmark's output.
#pragma once

#include <fmt/core.h>

#include "kernels/limits/limits.h"

namespace tern::bench {

inline MachineLimits printed_limits(int threads) {
  MachineLimits limits = measure_limits({threads})[0];
  fmt::print("read 4 KiB {:.1f} GB/s, huge {:.1f}\n", limits.read_4k_gbps, limits.read_huge_gbps);
  fmt::print("int8 {:.0f} GOP/s, bf16 {:.0f}, f32 {:.0f}\n", limits.int8_gops, limits.bf16_gflops, limits.f32_gflops);
  if (limits.int8_tile_gops > 0) {
    fmt::print("tiles: int8 {:.0f} GOP/s, bf16 {:.0f}\n", limits.int8_tile_gops, limits.bf16_tile_gflops);
  }
  return limits;
}

}  // namespace tern::bench
