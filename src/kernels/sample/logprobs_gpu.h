// Log-probabilities of drawn tokens and of a row's most probable ones, on a GPU: log-softmax of the rows as they are,
// before biases, penalties and temperature. Plain: CUDA files include this.
//
// Exponentials are f32, their sums f64 in a fixed order, so a row's values depend on the row alone. The most probable
// are in the order of draw_gpu.h: the larger logit first, then the lower id.
#pragma once

#include <cstdint>

#include "kernels/gpu_impl.h"
#include "kernels/sample/draw_gpu.h"

namespace tern {

inline constexpr int32_t kGpuMostLogprobs = 20;

struct GpuLogprobs {
  float drawn;                    // of the drawn token
  int32_t count;                  // of the most probable, as many as were wanted and the row has
  int32_t ids[kGpuMostLogprobs];  // [count]
  float values[kGpuMostLogprobs];
};

struct GpuLogprobsArgs {
  const float* logits;    // [rows, vocabulary]
  const int32_t* tokens;  // [rows] drawn; below 0: nothing is written for the row
  const int32_t* wanted;  // [rows] how many of the most probable, at most kGpuMostLogprobs; below 0: nothing is written
  GpuLogprobs* out;       // [rows]
  uint64_t* workspace;    // as that of GpuDrawArgs
  int64_t rows;
  int64_t vocabulary;  // below kGpuDrawVocabulary
  bool overlap;
};

extern const GpuImpl<GpuLogprobsArgs> kGpuLogprobsSm80;

}  // namespace tern
