// The body of decode attention (decode_attention.h) as a device function of one thread block, which takes its units
// from the plan one after the other.
//
// One warp fetches: keys and values of a chunk are a stage each of one ring, filled block by block of the cache by
// tensor copies. The others compute a chunk together: each its own 16 or 32 keys' scores, then, behind a barrier that
// makes the maximum known and one that makes the weights, each its own 16 dimensions of the output. With heads of 64 a
// chunk is four warps' work, and a multiprocessor has two blocks.
//
// Overlap. The next launch is let in at once and takes a multiprocessor as soon as this one's block leaves it; it
// fetches the history before it waits for the rest of this one.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/attention/decode_attention_fetch_sm90.cuh"
#include "kernels/attention/decode_attention_join_sm90.cuh"

namespace tern::decode_attention {

constexpr float kLog2E = 1.44269504f;

// The warps that compute.
template <class S>
struct Compute {
  const Params& p;
  uint8_t* shared;
  int warp, lane, thread;
  Place<S> place;
  Queries<S> queries;
  int last_key[S::kTiles][2];  // positions that rows 2t and 2t + 1 of each tile see last

  __device__ uint32_t address() const { return ptx::shared_address(shared); }
  __device__ float* maxes() const { return reinterpret_cast<float*>(shared + Layout<S>::kMaxesAt); }
  __device__ float* sums() const { return reinterpret_cast<float*>(shared + Layout<S>::kSumsAt); }
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
#pragma unroll
    for (int n = 0; n < S::kTiles; ++n) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const int row = unit.first_row + n * 8 + lane % 4 * 2 + j;
        last_key[n][j] = min(unit.history + row / p.group, unit.keys - 1);
      }
    }
  }

  // Of the lane's two keys of a tile from `key0` on, where they lie behind the codes of a stage.
  __device__ void load_scales(const uint8_t* stage, int key0, float (&scales)[2]) const {
    const auto* from = reinterpret_cast<const float*>(stage + S::kCodeBytes) + key0 + lane / 4;
    scales[0] = from[0];
    scales[1] = from[8];
  }

  // Scores of the warp's keys; what a row does not see is minus infinity. Of kFp8 also the scales of their values.
  __device__ void score(const DecodeUnit& unit, int position, int count, float (&scores)[S::kKeyTiles][S::kTiles][4],
                        float (&value_scales)[S::kKeyTiles][2]) {
    const uint32_t stage = wait_for_stage();
    const uint8_t* scales = shared + place.stage * S::kStageBytes;
    const bool all_visible = position + kDecodeChunk - 1 <= unit.history && position + p.window >= unit.keys;
#pragma unroll
    for (int i = 0; i < S::kKeyTiles; ++i) {
      const int key0 = (warp * S::kKeyTiles + i) * 16;
      float scale[2] = {p.scale, p.scale};
      if constexpr (S::kFp8) {
        load_scales(scales, key0, scale);
        load_scales(scales + kDecodeChunk * 4, key0, value_scales[i]);
        scale[0] *= p.scale, scale[1] *= p.scale;
      }
      if (key0 < count) multiply_keys<S>(stage, key0, queries, scale, lane, scores[i]);
      if (p.cap > 0) cap_scores(scores[i]);
      if (all_visible) continue;
#pragma unroll
      for (int n = 0; n < S::kTiles; ++n) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const int key = position + key0 + lane / 4 + j / 2 * 8;
          const int behind = last_key[n][j % 2] - key;
          if (behind < 0 || behind >= p.window) scores[i][n][j] = -INFINITY;
        }
      }
    }
    release_stage();
  }

  // Scores become cap * tanh(score).
  __device__ void cap_scores(float (&scores)[S::kTiles][4]) const {
#pragma unroll
    for (int n = 0; n < S::kTiles; ++n) {
#pragma unroll
      for (int j = 0; j < 4; ++j) scores[n][j] = p.cap * ptx::tanh(scores[n][j]);
    }
  }

  // Over the keys of a warp: lanes 4 g + t with all g hold the same rows.
  template <typename Operation>
  __device__ static float across_keys(float value, Operation operation) {
#pragma unroll
    for (int distance = 4; distance < 32; distance *= 2) {
      value = operation(value, __shfl_xor_sync(0xffffffffu, value, distance));
    }
    return value;
  }

  // Tells the other warps this one's maximum or sum of each row.
  __device__ void tell(float* exchange, const float (&values)[S::kTiles][2]) const {
    if (lane >= 4) return;
#pragma unroll
    for (int n = 0; n < S::kTiles; ++n) {
      *reinterpret_cast<float2*>(exchange + warp * S::kRows + n * 8 + lane * 2) =
          make_float2(values[n][0], values[n][1]);
    }
  }
  template <typename Operation>
  __device__ void gather(const float* exchange, float (&values)[S::kTiles][2], Operation operation) const {
#pragma unroll
    for (int n = 0; n < S::kTiles; ++n) {
#pragma unroll
      for (int w = 0; w < S::kWarps; ++w) {
        const float2 v = *reinterpret_cast<const float2*>(exchange + w * S::kRows + n * 8 + lane % 4 * 2);
        values[n][0] = w == 0 ? v.x : operation(values[n][0], v.x);
        values[n][1] = w == 0 ? v.y : operation(values[n][1], v.y);
      }
    }
  }

  // A chunk's share of the softmax.
  __device__ void chunk(const DecodeUnit& unit, int position, Node<S>& node) {
    const auto larger = [](float a, float b) { return fmaxf(a, b); };
    const auto plus = [](float a, float b) { return a + b; };
    const int count = min(unit.keys - position, kDecodeChunk);
    float scores[S::kKeyTiles][S::kTiles][4], value_scales[S::kKeyTiles][2];
    score(unit, position, count, scores, value_scales);

    float own[S::kTiles][2];
#pragma unroll
    for (int n = 0; n < S::kTiles; ++n) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        own[n][j] = fmaxf(scores[0][n][j], scores[0][n][j + 2]);
#pragma unroll
        for (int i = 1; i < S::kKeyTiles; ++i) {
          own[n][j] = fmaxf(own[n][j], fmaxf(scores[i][n][j], scores[i][n][j + 2]));
        }
        own[n][j] = across_keys(own[n][j], larger);
      }
    }
    tell(maxes(), own);
    ptx::sync(kComputeBarrier, S::kThreads);
    gather(maxes(), node.max, larger);

    const uint32_t weights = address() + Layout<S>::kWeightsAt;
#pragma unroll
    for (int n = 0; n < S::kTiles; ++n) {
      const float base[2] = {node.max[n][0] == -INFINITY ? 0 : node.max[n][0],
                             node.max[n][1] == -INFINITY ? 0 : node.max[n][1]};
      own[n][0] = own[n][1] = 0;
#pragma unroll
      for (int i = 0; i < S::kKeyTiles; ++i) {
        float weight[4];
#pragma unroll
        for (int j = 0; j < 4; ++j) weight[j] = ptx::exp2(scores[i][n][j] - base[j % 2]);
        own[n][0] += weight[0] + weight[2];
        own[n][1] += weight[1] + weight[3];
        if constexpr (S::kFp8) {  // what is not seen may have a scale that is not a number
#pragma unroll
          for (int j = 0; j < 4; ++j) weight[j] = weight[j] > 0 ? weight[j] * value_scales[i][j / 2] : 0;
        }
        const int key = (warp * S::kKeyTiles + i) * 16 + lane / 8 % 2 * 8;
        ptx::store_matrices_transposed(weights + (n * 8 + lane % 8) * kWeightPitch + key * 2,
                                       ptx::bf16_pair(weight[0], weight[1]), ptx::bf16_pair(weight[2], weight[3]));
      }
      own[n][0] = across_keys(own[n][0], plus);
      own[n][1] = across_keys(own[n][1], plus);
    }
    tell(sums(), own);
    ptx::sync(kComputeBarrier, S::kThreads);
    gather(sums(), node.sum, plus);

    const uint32_t stage = wait_for_stage();
    if (!S::kFp8 && count % 16 != 0) clear_values<S>(stage, count, warp, lane);
    multiply_values<S>(stage, weights, unit.first_key - position, count, warp, lane, node.out);
    release_stage();
  }

  __device__ void write(const DecodeUnit& unit, const Node<S>& node) const {
#pragma unroll
    for (int n = 0; n < S::kTiles; ++n) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const int in_unit = n * 8 + lane % 4 * 2 + j, row = unit.first_row + in_unit;
        if (in_unit >= unit.rows) continue;
        const int head = unit.kv_head * p.group + row % p.group;
        uint16_t* to =
            p.out + (unit.query_begin + row / p.group) * p.out_stride + head * S::kDim + first_dim<S>(warp, lane);
        float sum = node.sum[n][j];
        if (p.sinks != nullptr) sum += ptx::exp2(p.sinks[head] * kLog2E - node.max[n][j]);
        const float factor = 1 / sum;
        to[0] = ptx::bf16_bits(node.out[n][j] * factor);
        to[kDimStep<S>] = ptx::bf16_bits(node.out[n][j + 2] * factor);
      }
    }
  }

  __device__ void run(const DecodeUnit& unit) {
    begin(unit);
    Node<S> node;
    for (int i = unit.skip; i < unit.chunks; ++i) {
      chunk(unit, (unit.first_chunk + i) * kDecodeChunk, node);
      push<S>(stack(), i, unit.skip, i + 1 == unit.chunks, node, thread);
    }
    const int nodes = unit.nodes - unit.first_node;
    if (nodes > 1) {
      const Nodes<S> stored = {p.outs, p.sums};
      stored.store(unit.slot + unit.node - unit.first_node, node, thread);
      auto* flag = reinterpret_cast<int*>(shared + Layout<S>::kFlagAt);
      if (!arrives_last<S>(p.counters + unit.slot, nodes, flag, thread)) return;
      join_units<S>(stored, stack(), unit.slot, unit.first_node, unit.nodes, node, thread);
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
  Compute<S> compute = {p, shared, warp, lane, static_cast<int>(threadIdx.x), {}, {}, {}};
  DecodeUnit unit = load_unit(p, 0);
  ptx::wait_for_previous_launch();  // which may have written q, and may still use the workspace and read out
  for (int round = 1; unit.chunks > 0; ++round) {
    const DecodeUnit next = load_unit(p, round);
    compute.run(unit);
    unit = next;
  }
}

}  // namespace tern::decode_attention
