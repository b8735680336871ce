// The body of decode attention (decode_attention.h) as a device function of one thread block, which takes its units
// from the plan one after the other.
//
// One warp fetches: keys and values of a chunk are a stage each of one ring, filled block by block of the cache by
// tensor copies. The others compute a chunk together: each its own 16 or 32 keys' scores and weights, then, behind one
// barrier, each its own 16 dimensions of the output. Computing a chunk is a chain of latencies, not of work: where it
// takes longer than fetching one (fp8, small heads), a multiprocessor has two blocks.
//
// Overlap. The next launch is let in at once and takes a multiprocessor as soon as this one's block leaves it; it
// fetches the history before it waits for the rest of this one.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/attention/decode_attention_fetch_sm90.cuh"
#include "kernels/attention/decode_attention_join_sm90.cuh"

namespace tern::decode_attention {

// The warps that compute.
template <class S>
struct Compute {
  const Params& p;
  uint8_t* shared;
  int warp, lane, thread;
  Place<S> place;
  int turn;  // which of the two weights and maxima
  Queries<S> queries;
  float scale;
  int last_key[S::kTiles][2];  // positions that rows 2t and 2t + 1 of each tile see last

  __device__ uint32_t address() const { return ptx::shared_address(shared); }
  __device__ Nodes<S> stack() const {
    return {reinterpret_cast<float4*>(shared + Layout<S>::kStackAt),
            reinterpret_cast<float4*>(shared + Layout<S>::kStackSumsAt)};
  }
  __device__ uint32_t wait_for_stage() const {
    ptx::barrier_wait(address() + Layout<S>::kBarriersAt + place.stage * 8, place.parity);
    return address() + place.stage * S::kStageBytes;
  }
  __device__ void release_stage() {
    __syncwarp();
    if (lane == 0) ptx::barrier_arrive(address() + Layout<S>::kBarriersAt + (Layout<S>::kStages + place.stage) * 8);
    place.advance();
  }

  __device__ void begin(const DecodeUnit& unit) {
    load_queries<S>(queries, p.q + unit.query_begin * p.q_stride + unit.kv_head * p.group * S::kDim, p.q_stride,
                    p.group, unit.first_row, unit.rows, lane);
    scale = p.scale;
    if constexpr (S::kFp8) scale *= p.k_scales[unit.kv_head];
#pragma unroll
    for (int n = 0; n < S::kTiles; ++n) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const int row = unit.first_row + n * 8 + lane % 4 * 2 + j;
        last_key[n][j] = min(unit.history + row / p.group, unit.keys - 1);
      }
    }
  }

  // Scores of the warp's keys; what a row does not see is minus infinity.
  __device__ void score(const DecodeUnit& unit, int position, int count, float (&scores)[S::kKeyTiles][S::kTiles][4]) {
    const uint32_t stage = wait_for_stage();
    const bool all_visible = position + kDecodeChunk - 1 <= unit.history;
#pragma unroll
    for (int i = 0; i < S::kKeyTiles; ++i) {
      const int key0 = (warp * S::kKeyTiles + i) * 16;
      if (key0 < count) multiply_keys<S>(stage, key0, queries, scale, lane, scores[i]);
      if (all_visible) continue;
#pragma unroll
      for (int n = 0; n < S::kTiles; ++n) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const int key = position + key0 + lane / 4 + j / 2 * 8;
          if (key > last_key[n][j % 2]) scores[i][n][j] = -INFINITY;
        }
      }
    }
    release_stage();
  }

  // The largest of the warp's keys for a row: lanes 4 g + t with all g hold the same rows.
  __device__ static float largest(const float (&scores)[S::kKeyTiles][S::kTiles][4], int n, int j) {
    float max = fmaxf(scores[0][n][j], scores[0][n][j + 2]);
#pragma unroll
    for (int i = 1; i < S::kKeyTiles; ++i) max = fmaxf(max, fmaxf(scores[i][n][j], scores[i][n][j + 2]));
#pragma unroll
    for (int distance = 4; distance < 32; distance *= 2) {
      max = fmaxf(max, __shfl_xor_sync(0xffffffffu, max, distance));
    }
    return max;
  }

  // Tells the other warps this one's maxima and weights.
  __device__ void tell(const float (&scores)[S::kKeyTiles][S::kTiles][4], float* maxes, uint32_t weights) const {
#pragma unroll
    for (int n = 0; n < S::kTiles; ++n) {
      const float max[2] = {largest(scores, n, 0), largest(scores, n, 1)};
      if (lane < 4)
        *reinterpret_cast<float2*>(maxes + warp * S::kRows + n * 8 + lane * 2) = make_float2(max[0], max[1]);
      const float base[2] = {max[0] == -INFINITY ? 0 : max[0], max[1] == -INFINITY ? 0 : max[1]};
#pragma unroll
      for (int i = 0; i < S::kKeyTiles; ++i) {
        const float* s = scores[i][n];
        const uint32_t low = ptx::bf16_pair(ptx::exp2(s[0] - base[0]), ptx::exp2(s[1] - base[1]));
        const uint32_t high = ptx::bf16_pair(ptx::exp2(s[2] - base[0]), ptx::exp2(s[3] - base[1]));
        const int key = (warp * S::kKeyTiles + i) * 16 + lane / 8 % 2 * 8;
        ptx::store_matrices_transposed(weights + (n * 8 + lane % 8) * kWeightPitch + key * 2, low, high);
      }
    }
  }

  // The factor that brings the weights of each warp's keys to the maximum of all, which it finds.
  __device__ void rescale(const float* maxes, int n, float (&factors)[S::kWarps][2], float (&max)[2]) const {
    float2 own[S::kWarps];
#pragma unroll
    for (int w = 0; w < S::kWarps; ++w) {
      own[w] = *reinterpret_cast<const float2*>(maxes + w * S::kRows + n * 8 + lane % 4 * 2);
      max[0] = w == 0 ? own[w].x : fmaxf(max[0], own[w].x);
      max[1] = w == 0 ? own[w].y : fmaxf(max[1], own[w].y);
    }
    const float base[2] = {max[0] == -INFINITY ? 0 : max[0], max[1] == -INFINITY ? 0 : max[1]};
#pragma unroll
    for (int w = 0; w < S::kWarps; ++w) {
      factors[w][0] = ptx::exp2(own[w].x - base[0]);
      factors[w][1] = ptx::exp2(own[w].y - base[1]);
    }
  }

  // The sums of all keys' values and weights in this warp's dimensions: those of 32 keys on the matrix unit, for the
  // weights' own sum with ones instead of values.
  __device__ void weigh(uint32_t stage, const float* maxes, uint32_t weights, int count, Node<S>& node) const {
    constexpr uint32_t kOnes = 0x3f803f80u;
    float factors[S::kTiles][S::kWarps][2];
#pragma unroll
    for (int n = 0; n < S::kTiles; ++n) {
      rescale(maxes, n, factors[n], node.max[n]);
#pragma unroll
      for (int i = 0; i < 4; ++i) node.out[n][i] = 0;
      node.sum[n][0] = node.sum[n][1] = 0;
    }
    const uint32_t row = weights + lane % 8 * kWeightPitch + lane / 8 * 16;
#pragma unroll
    for (int i = 0; i < kDecodeChunk / 32; ++i) {
      if (i * 32 >= count) break;
      uint32_t a[2][4];
      load_values<S>(stage, i * 32, count, warp, lane, a);
#pragma unroll
      for (int n = 0; n < S::kTiles; ++n) {
        const uint4 b = ptx::load_matrices(row + n * 8 * kWeightPitch + i * 64);
        const uint32_t pairs[2][2] = {{b.x, b.y}, {b.z, b.w}};
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          float values[4] = {}, ones[4] = {};
          ptx::multiply_bf16(values, a[j][0], a[j][1], a[j][2], a[j][3], pairs[j][0], pairs[j][1]);
          ptx::multiply_bf16(ones, kOnes, kOnes, kOnes, kOnes, pairs[j][0], pairs[j][1]);
          const auto& factor = factors[n][(i * 2 + j) / S::kKeyTiles];
#pragma unroll
          for (int k = 0; k < 4; ++k) node.out[n][k] = __fmaf_rn(values[k], factor[k % 2], node.out[n][k]);
          node.sum[n][0] = __fmaf_rn(ones[0], factor[0], node.sum[n][0]);
          node.sum[n][1] = __fmaf_rn(ones[1], factor[1], node.sum[n][1]);
        }
      }
    }
  }

  // A chunk's share of the softmax.
  __device__ void chunk(const DecodeUnit& unit, int position, Node<S>& node) {
    const int count = min(unit.keys - position, kDecodeChunk);
    auto* maxes = reinterpret_cast<float*>(shared + Layout<S>::kMaxesAt + turn * Layout<S>::kMaxes);
    const uint32_t weights = address() + Layout<S>::kWeightsAt + turn * Layout<S>::kWeights;
    turn ^= 1;
    float scores[S::kKeyTiles][S::kTiles][4];
    score(unit, position, count, scores);
    tell(scores, maxes, weights);
    ptx::sync(kComputeBarrier, S::kThreads);
    const uint32_t stage = wait_for_stage();
    if (!S::kFp8 && count % 16 != 0) clear_values<S>(stage, count, warp, lane);
    weigh(stage, maxes, weights, count, node);
    release_stage();
  }

  __device__ void write(const DecodeUnit& unit, const Node<S>& node) const {
    const float scale = S::kFp8 ? p.v_scales[unit.kv_head] : 1.0f;
#pragma unroll
    for (int n = 0; n < S::kTiles; ++n) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const int in_unit = n * 8 + lane % 4 * 2 + j, row = unit.first_row + in_unit;
        if (in_unit >= unit.rows) continue;
        uint16_t* to = p.out + (unit.query_begin + row / p.group) * p.out_stride +
                       (unit.kv_head * p.group + row % p.group) * S::kDim + first_dim<S>(warp, lane);
        const float factor = scale / node.sum[n][j];
        to[0] = ptx::bf16_bits(node.out[n][j] * factor);
        to[kDimStep<S>] = ptx::bf16_bits(node.out[n][j + 2] * factor);
      }
    }
  }

  __device__ void run(const DecodeUnit& unit) {
    begin(unit);
    Node<S> node;
    for (int i = 0; i < unit.chunks; ++i) {
      chunk(unit, (unit.first_chunk + i) * kDecodeChunk, node);
      push<S>(stack(), i, i + 1 == unit.chunks, node, thread);
    }
    if (unit.nodes > 1) {
      const Nodes<S> stored = {p.outs, p.sums};
      stored.store(unit.slot + unit.node, node, thread);
      auto* flag = reinterpret_cast<int*>(shared + Layout<S>::kFlagAt);
      if (!arrives_last<S>(p.counters + unit.slot, unit.nodes, flag, thread)) return;
      join_units<S>(stored, stack(), unit.slot, unit.nodes, node, thread);
    }
    write(unit, node);
  }
};

template <class S>
__device__ inline void run_block(const Params& p, uint8_t* shared) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const uint32_t full = ptx::shared_address(shared) + Layout<S>::kBarriersAt;
  ptx::allow_next_launch();
  if (threadIdx.x < Layout<S>::kStages) {
    ptx::barrier_init(full + threadIdx.x * 8, 1);
    ptx::barrier_init(full + (Layout<S>::kStages + threadIdx.x) * 8, S::kWarps);
    ptx::barrier_init_fence();
  }
  __syncthreads();
  if (warp == S::kWarps) {
    fetch<S>(p, ptx::shared_address(shared), lane);
    return;
  }
  Compute<S> compute = {p, shared, warp, lane, static_cast<int>(threadIdx.x), {}, 0, {}, 0, {}};
  DecodeUnit unit = load_unit(p, 0);
  ptx::wait_for_previous_launch();  // which may have written q, and may still use the workspace and read out
  for (int round = 1; unit.chunks > 0; ++round) {
    const DecodeUnit next = load_unit(p, round);
    compute.run(unit);
    unit = next;
  }
}

}  // namespace tern::decode_attention
