// The body of decode attention (decode_attention.h) as a device function of one thread block, which takes its units from
// the plan one after the other.
//
// One warp fetches: keys and values of a chunk are a stage each of one ring, filled block by block of the cache by
// tensor copies. The others compute a chunk together: each its own 16 or 32 keys' scores, then, behind a barrier that
// makes the maximum known and one that makes the weights, each its own 16 dimensions of the output. What a chunk takes
// to compute is a fifth of what it takes to fetch, so the ring stays filled.
//
// Overlap. The next launch is let in at once and takes a multiprocessor as soon as this one's block leaves it; it
// fetches the history before it waits for the rest of this one.
#pragma once

#include <cuda.h>

#include <cmath>
#include <cstdint>

#include "kernels/attention/decode_attention_join_sm90.cuh"

namespace tern::decode_attention {

constexpr int kMaxSharedBytes = 227 * 1024;  // of one block, on compute capability 9.0

// What a launch is told.
struct Params {
  CUtensorMap map;  // the pool as rows of whole 128-byte lines, boxes of the lines of a block's keys
  const uint16_t* q;
  uint16_t* out;
  const float* k_scales;
  const float* v_scales;
  const int32_t* block_tables;
  const DecodeUnit* units;
  int32_t* counters;
  float4* outs;  // of nodes in the workspace
  float4* sums;
  int64_t q_stride, out_stride, table_stride;
  int group;          // query heads of a KV head
  int block_tokens;   // of the cache
  int box_tokens;     // of a copy
  int block_rows;     // of the map: a block, where its keys and values begin, and a head's
  int k_row, v_row, head_rows;
  float scale;        // of scores, for powers of two
};

// Dynamic shared memory, 1024-byte aligned.
template <class S>
struct Layout {
  static constexpr int kStackOuts = kDecodeLevels * S::kTiles * S::kThreads * 16;
  static constexpr int kStackSums = kDecodeLevels * S::kTiles * 64;
  static constexpr int kWeights = S::kRows * kWeightPitch;
  static constexpr int kExchange = S::kWarps * S::kRows * 4;  // a number a warp and row
  static constexpr int kFixed = kStackOuts + kStackSums + kWeights + 2 * kExchange + 256;
  // Three quarters of the memory at most are ring: what is under way hides latency many times over.
  static constexpr int kFit = (kMaxSharedBytes - kFixed) / S::kStageBytes;
  static constexpr int kStages = kFit < 12 ? kFit : 12;
  static_assert(kStages >= 2);
  static constexpr int kStackAt = kStages * S::kStageBytes;
  static constexpr int kStackSumsAt = kStackAt + kStackOuts;
  static constexpr int kWeightsAt = kStackSumsAt + kStackSums;
  static constexpr int kMaxesAt = kWeightsAt + kWeights;
  static constexpr int kSumsAt = kMaxesAt + kExchange;
  static constexpr int kBarriersAt = kSumsAt + kExchange;  // full ones, then empty ones, then a flag
  static constexpr int kFlagAt = kBarriersAt + kStages * 16;
  static constexpr int kBytes = kFlagAt + 16;
};

// A place in the ring, and which time round it is.
template <class S>
struct Place {
  int stage = 0;
  uint32_t parity = 0;
  __device__ void advance() {
    if (++stage == Layout<S>::kStages) stage = 0, parity ^= 1;
  }
};

__device__ inline DecodeUnit load_unit(const Params& p, int round) {
  const auto* from = reinterpret_cast<const int4*>(p.units + static_cast<int64_t>(round) * gridDim.x + blockIdx.x);
  union {
    int4 words[3];
    DecodeUnit unit;
  } u;
#pragma unroll
  for (int i = 0; i < 3; ++i) u.words[i] = from[i];
  return u.unit;
}

// ---- the warp that fetches ----

// The cache's block that lane `lane` copies of a chunk: consecutive lanes have the two halves of a block, then the next.
template <class S>
__device__ inline int block_of(const Params& p, const DecodeUnit& unit, int chunk, int lane) {
  const int position = (unit.first_chunk + chunk) * kDecodeChunk + lane / S::kHalves * p.box_tokens;
  if (lane / S::kHalves >= kDecodeChunk / p.box_tokens || position >= unit.keys) return 0;
  return p.block_tables[unit.sequence * p.table_stride + position / p.block_tokens];
}

template <class S>
__device__ inline void fetch_stage(const Params& p, const DecodeUnit& unit, int position, int count, int block,
                                   int first_row, uint32_t stage, uint32_t barrier, uint64_t policy, int lane) {
  const int boxes = (count + p.box_tokens - 1) / p.box_tokens, box_bytes = p.box_tokens / S::kLineKeys * 128;
  if (lane == 0) ptx::barrier_expect(barrier, boxes * S::kHalves * box_bytes);
  __syncwarp();
  const int box = lane / S::kHalves, half = lane % S::kHalves;
  if (box >= boxes) return;
  // A block of the cache may be longer than a chunk.
  const int in_block = (position + box * p.box_tokens) % p.block_tokens / S::kLineKeys;
  ptx::tensor_copy(stage + half * (kDecodeChunk * 128) + box * box_bytes, &p.map, half * 128,
                   block * p.block_rows + first_row + unit.kv_head * p.head_rows + in_block, barrier, policy);
}

template <class S>
__device__ inline void fetch(const Params& p, uint32_t shared, int lane) {
  const uint32_t full = shared + Layout<S>::kBarriersAt, empty = full + Layout<S>::kStages * 8;
  const uint64_t policy = ptx::evict_first_policy();
  Place<S> place;
  bool waited = false;
  DecodeUnit unit = load_unit(p, 0);
  int block = unit.chunks > 0 ? block_of<S>(p, unit, 0, lane) : 0;
  for (int round = 1; unit.chunks > 0; ++round) {
    const DecodeUnit next = load_unit(p, round);
    for (int chunk = 0; chunk < unit.chunks; ++chunk) {
      // Ahead, so that nothing waits for the table.
      int next_block = 0;
      if (chunk + 1 < unit.chunks) {
        next_block = block_of<S>(p, unit, chunk + 1, lane);
      } else if (next.chunks > 0) {
        next_block = block_of<S>(p, next, 0, lane);
      }
      const int position = (unit.first_chunk + chunk) * kDecodeChunk, count = min(unit.keys - position, kDecodeChunk);
      if (!waited && position + count > unit.history) {
        ptx::wait_for_previous_launch();
        waited = true;
      }
      for (const int first_row : {p.k_row, p.v_row}) {
        ptx::barrier_wait(empty + place.stage * 8, place.parity ^ 1);
        fetch_stage<S>(p, unit, position, count, block, first_row, shared + place.stage * S::kStageBytes,
                       full + place.stage * 8, policy, lane);
        place.advance();
      }
      block = next_block;
    }
    unit = next;
  }
}

// ---- the warps that compute ----

template <class S>
struct Compute {
  const Params& p;
  uint8_t* shared;
  int warp, lane, thread;
  Place<S> place;
  Queries<S> queries;
  float scale;
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
      *reinterpret_cast<float2*>(exchange + warp * S::kRows + n * 8 + lane * 2) = make_float2(values[n][0], values[n][1]);
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
    float scores[S::kKeyTiles][S::kTiles][4];
    score(unit, position, count, scores);

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

    auto* weights = reinterpret_cast<uint16_t*>(shared + Layout<S>::kWeightsAt);
#pragma unroll
    for (int n = 0; n < S::kTiles; ++n) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const float base = node.max[n][j] == -INFINITY ? 0 : node.max[n][j];
        const int row = n * 8 + lane % 4 * 2 + j;
        float sum = 0;
#pragma unroll
        for (int i = 0; i < S::kKeyTiles; ++i) {
          const int key = (warp * S::kKeyTiles + i) * 16 + lane / 4;
          const float low = ptx::exp2(scores[i][n][j] - base), high = ptx::exp2(scores[i][n][j + 2] - base);
          weights[row * (kWeightPitch / 2) + key] = ptx::bf16_bits(low);
          weights[row * (kWeightPitch / 2) + key + 8] = ptx::bf16_bits(high);
          sum += low + high;
        }
        own[n][j] = across_keys(sum, plus);
      }
    }
    tell(sums(), own);
    ptx::sync(kComputeBarrier, S::kThreads);
    gather(sums(), node.sum, plus);

    const uint32_t stage = wait_for_stage();
    if (!S::kFp8 && count % 16 != 0) clear_values<S>(stage, count, warp, lane);
    multiply_values<S>(stage, address() + Layout<S>::kWeightsAt, count, warp, lane, node.out);
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
  Compute<S> compute = {p, shared, warp, lane, static_cast<int>(threadIdx.x), {}, {}, 0, {}};
  DecodeUnit unit = load_unit(p, 0);
  ptx::wait_for_previous_launch();  // which may have written q, and may still use the workspace and read out
  for (int round = 1; unit.chunks > 0; ++round) {
    const DecodeUnit next = load_unit(p, round);
    compute.run(unit);
    unit = next;
  }
}

}  // namespace tern::decode_attention
