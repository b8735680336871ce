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

  // Keys from first_key on, page by page.
  template <int Count>
  __device__ void apply(int first_key, int lane, float (&scores)[Count]) const {
    const int own = position - first_key - lane % 4 * 2;
#pragma unroll
    for (int page = 0; page < Count / 32; ++page) {
      const int key = first_key + page * 64;
      if (key + 63 > strip_position)
        cut(own - page * 64, scores + page * 32, [](int at, int last) { return at > last; });
      if (window > 0 && key <= strip_position + 63 - window) {
        cut(own - page * 64 - window, scores + page * 32, [](int at, int before) { return at <= before; });
      }
    }
  }
  // Of a page; `bound` for the first of the thread's rows, relative to its first key.
  template <typename Cut>
  __device__ static void cut(int bound, float* scores, Cut is_cut) {
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      if (is_cut(i / 4 * 8 + i % 2, bound + i / 2 % 2 * 8)) scores[i] = -INFINITY;
    }
  }
};

// 2^x by multiplications and additions, x <= 32: a relative error of 1.02e-4, a twentieth of what rounding to bf16
// makes. Exactly 0 for minus infinity: 1.0's bits less 127 exponents. After Schraudolph 1999 and Cody and Waite 1980;
// shared between units as in FlashAttention 4.
__device__ inline float exp2_by_polynomial(float x) {
  constexpr float kC1 = 0.69328293f, kC2 = 0.24221088f, kC3 = 0.0550088f;
  constexpr float kRound = 0x1.8p23f;  // adding it leaves the nearest whole number in the low bits
  x = fmaxf(x, -127.0f);
  const float shifted = x + kRound;
  const float f = x - (shifted - kRound);  // -0.5 to 0.5
  const float power = fmaf(fmaf(fmaf(kC3, f, kC2), f, kC1), f, 1.0f);
  return __int_as_float(__float_as_int(power) + (__float_as_int(shifted) << 23));
}

struct Softmax {
  float max[2] = {-INFINITY, -INFINITY};  // what weights are relative to, a score, unscaled
  float sum[2] = {0, 0};                  // of the thread's own columns

  // Scores become weights relative to about the new maximum; returns by what weights of before shrink. A maximum that
  // weights exceed by less than 2^kSlack is kept: then nothing shrinks, nearly always. `Shared` of 16 are computed by
  // multiplications.
  template <int Shared, int Count>
  __device__ float2 take(float (&scores)[Count], float scale) {
    constexpr float kSlack = 8;
    float shrink[2];
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      float largest = fmaxf(scores[2 * j], scores[2 * j + 1]);
#pragma unroll
      for (int i = 4 + 2 * j; i < Count; i += 4) largest = fmaxf(largest, fmaxf(scores[i], scores[i + 1]));
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 2));
      const float before = max[j];
      if ((largest - before) * scale > kSlack) max[j] = largest;  // also where there was none; not if there is none yet
      const float base = max[j] == -INFINITY ? 0 : max[j] * scale;
      shrink[j] = ptx::exp2(fmaf(before, scale, -base));
      float own[2] = {0, 0};  // in an order in which zero weights at the end change nothing
#pragma unroll
      for (int i = 2 * j; i < Count; i += 4) {
        const bool multiply = i / 4 * 2 % 16 < Shared;
#pragma unroll
        for (int k = i; k < i + 2; ++k) {
          const float x = fmaf(scores[k], scale, -base);
          scores[k] = multiply ? exp2_by_polynomial(x) : ptx::exp2(x);
        }
        own[0] += scores[i];
        own[1] += scores[i + 1];
      }
      sum[j] = fmaf(sum[j], shrink[j], own[0] + own[1]);
    }
    return make_float2(shrink[0], shrink[1]);
  }

  // 1 / the sum over all columns.
  __device__ float reciprocal(int j) const {
    float all = sum[j] + __shfl_xor_sync(0xffffffffu, sum[j], 1);
    all += __shfl_xor_sync(0xffffffffu, all, 2);
    return 1 / all;
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
