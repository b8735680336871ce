// The loops that limits.cpp times, one row each: what an implementation file exports. ISA files include this. A loop
// does nothing but what it is called; each call is one thread's, over memory that the caller owns.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cost.h"

namespace tern {

// Reads every cache line of `bytes` (a multiple of 4096); the result keeps the loads alive.
struct ReadLoop {
  const char* name;  // "avx512_ahead4k"
  uint32_t needs;    // IsaBits
  int64_t (*run)(const std::byte* from, int64_t bytes);
};

// Multiplies and adds in registers, at least `iterations` times.
struct PeakLoop {
  const char* name;  // "avx512_vnni"
  uint32_t needs;    // IsaBits
  Arithmetic arithmetic;
  double ops;  // of an iteration, multiplications and additions counted apart
  void (*run)(int64_t iterations);
};

template <typename Loop>
struct LoopSpan {
  const Loop* rows;
  int count;
};

extern const LoopSpan<ReadLoop> kReadLoopsAvx512, kReadLoopsAvx2, kReadLoopsRef;
extern const LoopSpan<PeakLoop> kPeakLoopsAmx, kPeakLoopsAvx512, kPeakLoopsAvx2, kPeakLoopsRef;

}  // namespace tern
