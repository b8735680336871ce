// Software prefetch for the panel kernels: weights that the loop will want soon are asked for while others are
// computed, past the end of the matrix too. ISA files include this: internal linkage.
#pragma once

#include <cstdint>

#include "kernels/prefetch.h"

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
      for (int i = 0; i < kBytes; i += 64) prefetch_l2(at + i);
      skip = every;
    }
    --skip;
    at += step;
  }
};

}  // namespace
}  // namespace tern
