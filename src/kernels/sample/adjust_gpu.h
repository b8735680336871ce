// Rows of logits as a request's biases and penalties change them, on a GPU. Plain: CUDA files include this.
//
// In the order and rounding of the sampler on the host: first each bias is added, then a token of prompt or answer has
// its logit divided (above 0) or multiplied by the repetition penalty, then one of the answer loses the presence
// penalty and its count times the frequency penalty. The rows themselves stay as they are: what changes is written
// elsewhere.
//
// What a sequence has had so far is a row of counts, one a token of the vocabulary, written by the host when the
// sequence begins; the draw counts what it draws (draw_gpu.h), so that the next step in flight knows it.
#pragma once

#include <cstdint>

#include "kernels/gpu_impl.h"

#ifdef __CUDACC__
#define TERN_HOST_DEVICE __host__ __device__
#else
#define TERN_HOST_DEVICE
#endif

namespace tern {

// A count: whether the prompt holds the token, and how often the answer does.
using GpuTokenCount = uint16_t;
inline constexpr GpuTokenCount kGpuInPrompt = 0x8000;
inline constexpr GpuTokenCount kGpuMostCounted = 0x7fff;  // and more

struct GpuBias {
  int32_t id;  // outside of the vocabulary: none
  float bias;
};
inline constexpr int64_t kGpuMostBiases = 1024;  // of a row

struct alignas(16) GpuAdjust {
  float repetition_penalty = 1, presence_penalty = 0, frequency_penalty = 0;
  int32_t slot = -1;       // its row of counts; -1: no penalties
  int32_t first_bias = 0;  // in `biases`
  int32_t biases = 0;      // of distinct ids
  int32_t unused[2] = {0, 0};
};

TERN_HOST_DEVICE inline bool is_adjusted(const GpuAdjust& row) { return row.slot >= 0 || row.biases > 0; }

TERN_HOST_DEVICE inline GpuTokenCount counted_once_more(GpuTokenCount count) {
  return (count & kGpuMostCounted) == kGpuMostCounted ? count : static_cast<GpuTokenCount>(count + 1);
}

// `Float`: f32 products, quotients and differences that are each rounded.
template <typename Float>
TERN_HOST_DEVICE inline float penalized(float logit, GpuTokenCount count, const GpuAdjust& row) {
  if (count == 0) return logit;
  logit = logit > 0 ? Float::quotient(logit, row.repetition_penalty) : Float::product(logit, row.repetition_penalty);
  const int answered = count & kGpuMostCounted;
  if (answered == 0) return logit;
  const float frequency = Float::product(row.frequency_penalty, static_cast<float>(answered));
  return Float::difference(logit, Float::sum(row.presence_penalty, frequency));
}

struct GpuAdjustArgs {
  const float* logits;          // [rows, vocabulary]
  const GpuAdjust* adjusts;     // [rows]
  const GpuBias* biases;        // those of all rows
  const GpuTokenCount* counts;  // [slots, vocabulary]
  float* adjusted;              // [rows, vocabulary]; rows that nothing changes are not written
  int64_t rows;
  int64_t vocabulary;
  bool overlap;
};

extern const GpuImpl<GpuAdjustArgs> kGpuAdjustSm80;

// The same in host memory: what it means.
void adjust_rows_ref(const GpuAdjustArgs& args);

}  // namespace tern
