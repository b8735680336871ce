// The softmax of prefill attention in registers: of the two rows of scores that a thread shares with its three
// neighbours (fragments of wgmma_sm90.cuh), block after block of keys (Milakov and Gimelshein 2018, arXiv 1805.02867).
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/ptx_sm90.cuh"

namespace tern::prefill_attention {

// What a thread's first row sees (its second one is 8 positions on), and what its strip sees.
struct Mask {
  int position;  // of the first row
  int strip_position;
  int window;  // 0: none

  // Keys first_key .. first_key + keys - 1: some row does not see one of them.
  __device__ bool cuts(int first_key, int keys) const {
    return first_key + keys - 1 > strip_position || (window > 0 && first_key <= strip_position + 63 - window);
  }
  template <int Count>
  __device__ void apply(int first_key, int lane, float (&scores)[Count]) const {
    const int own = first_key + lane % 4 * 2;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int last = position + 8 * j - own, first = window > 0 ? last - window + 1 : -0x10000000;
#pragma unroll
      for (int i = 2 * j; i < Count; i += 4) {
        const int key = i / 4 * 8;
        if (key > last || key < first) scores[i] = -INFINITY;
        if (key + 1 > last || key + 1 < first) scores[i + 1] = -INFINITY;
      }
    }
  }
};

struct Softmax {
  float max[2] = {-INFINITY, -INFINITY};  // of scores, unscaled
  float sum[2] = {0, 0};                  // of the thread's own columns

  // Scores become weights relative to the new maximum; returns by what weights of before shrink.
  template <int Count>
  __device__ float2 take(float (&scores)[Count], float scale) {
    float shrink[2];
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      float largest = fmaxf(scores[2 * j], scores[2 * j + 1]);
#pragma unroll
      for (int i = 4 + 2 * j; i < Count; i += 4) largest = fmaxf(largest, fmaxf(scores[i], scores[i + 1]));
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 2));
      const float before = max[j];
      max[j] = fmaxf(before, largest);
      // Both rounded: where the maximum stays, nothing shrinks, so that a block which a row does not see is no block.
      const float base = max[j] == -INFINITY ? 0 : __fmul_rn(max[j], scale);
      shrink[j] = ptx::exp2(__fsub_rn(__fmul_rn(before, scale), base));
      float own[2] = {0, 0};  // in an order in which zero weights at the end change nothing
#pragma unroll
      for (int i = 2 * j; i < Count; i += 4) {
        scores[i] = ptx::exp2(fmaf(scores[i], scale, -base));
        scores[i + 1] = ptx::exp2(fmaf(scores[i + 1], scale, -base));
        own[0] += scores[i];
        own[1] += scores[i + 1];
      }
      sum[j] = fmaf(sum[j], shrink[j], own[0] + own[1]);
    }
    return make_float2(shrink[0], shrink[1]);
  }

  // 1 / the sum over all columns and a sink, a score for powers of two; minus infinity: none.
  __device__ float reciprocal(int j, float scale, float sink) const {
    float all = sum[j] + __shfl_xor_sync(0xffffffffu, sum[j], 1);
    all += __shfl_xor_sync(0xffffffffu, all, 2);
    return 1 / (all + ptx::exp2(sink - max[j] * scale));
  }
};

// Weights as fragments of the left side of the next product.
template <int Count, int Room>
__device__ inline void pack(const float (&weights)[Count], uint32_t (&packed)[Room]) {
  static_assert(Count <= 2 * Room);
#pragma unroll
  for (int i = 0; i < Count / 2; ++i) packed[i] = ptx::bf16_pair(weights[2 * i], weights[2 * i + 1]);
}

// Rows of an accumulator times a number each.
template <int Count>
__device__ inline void multiply_rows(float (&values)[Count], float first, float second) {
#pragma unroll
  for (int i = 0; i < Count; ++i) values[i] *= i % 4 < 2 ? first : second;
}

}  // namespace tern::prefill_attention
