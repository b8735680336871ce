// Tokens drawn from rows of logits on a GPU: exact greedy choice, temperature, min-p, top-k and top-p, seeded. Plain:
// CUDA files include this.
//
// The order of a row is the larger logit first, then the lower id. A token's weight is exp((logit - best) /
// temperature) in f32, times 2^43, as an integer: sums have no rounding, so a draw depends on its row and its
// parameters alone. Weights below 2^-43 of the best are zero. With top-k or top-p a draw walks the row in its order,
// without them by ids. A row that holds a NaN, or nothing finite, gets no token: -1.
#pragma once

#include <cstdint>

#include "kernels/gpu_impl.h"
#include "kernels/sample/adjust_gpu.h"

namespace tern {

struct alignas(16) GpuDraw {
  float inverse_temperature;  // 0: the most probable token
  float log_min_p;            // tokens below best + this (after the temperature) are left out; at least -80
  float top_p;                // 1: all
  int32_t top_k;              // 0: all
  uint64_t random;            // 64 bits, uniform
  uint64_t unused;
};

inline constexpr int32_t kGpuDrawChunk = 1024;  // columns that one thread block scans
// A row has fewer columns than this: what chooses holds a chunk a thread.
inline constexpr int64_t kGpuDrawVocabulary = 1 << 20;
constexpr int64_t gpu_draw_chunks(int64_t vocabulary) { return (vocabulary + kGpuDrawChunk - 1) / kGpuDrawChunk; }

struct GpuDrawArgs {
  const float* logits;   // [rows, vocabulary]
  const GpuDraw* draws;  // [rows]
  int32_t* tokens;       // [rows]
  // [rows, 2, chunks] of 64 bits, chunks as gpu_draw_chunks() says.
  uint64_t* workspace;
  int64_t rows;
  int64_t vocabulary;  // below kGpuDrawVocabulary
  bool greedy;         // all rows are: two launches and no exponential
  bool overlap;
  // Of rows with biases or penalties (adjust_gpu.h), null where there are none: what the token is drawn from instead,
  // and where it is counted then.
  const GpuAdjust* adjusts = nullptr;  // [rows]
  const float* adjusted = nullptr;     // [rows, vocabulary]
  GpuTokenCount* counts = nullptr;     // [slots, vocabulary]
};

extern const GpuImpl<GpuDrawArgs> kGpuDrawSm80;

}  // namespace tern
