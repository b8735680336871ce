// Software prefetch for the panel kernels: weights that the loop will want soon are asked for while others are
// computed. Into L2, never L1: L1's few miss buffers belong to the loads. A prefetch never faults, past the end of the
// matrix either. ISA files include this: internal linkage.
#pragma once

#include <cstdint>

namespace tern {
namespace {

// Walks through memory, `step` bytes at each of the loop's turns. The tiles of several tokens that share a panel share
// the work: tile i of n asks at the turns i, i + n, ..., so that memory is busy for as long as all of them compute.
struct LookAhead {
  const uint8_t* at;  // null: nothing to ask for
  int64_t step;
  int64_t skip, every;

  template <int kBytes>
  [[gnu::always_inline]] inline void next() {
    if (at == nullptr) return;
    if (skip == 0) {
#pragma GCC unroll 64
      for (int i = 0; i < kBytes; i += 64) __builtin_prefetch(at + i, 0, 2);
      skip = every;
    }
    --skip;
    at += step;
  }
};

}  // namespace
}  // namespace tern
