// What a block of decode attention shares: the launch's parameters, its shared memory, and the warp that fills it with
// keys and values.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "kernels/attention/decode_attention_tile_sm90.cuh"

namespace tern::decode_attention {

constexpr int kMaxSharedBytes = 227 * 1024;  // of one block, on compute capability 9.0

// What a launch is told.
struct Params {
  CUtensorMap map;  // the pool as rows of whole 128-byte lines, boxes of the lines of a block's keys
  const uint16_t* q;
  uint16_t* out;
  const uint8_t* scales;  // of keys in block 0, of kFp8
  const float* sinks;
  const int32_t* block_tables;
  const DecodeUnit* units;
  int32_t* counters;
  float4* outs;  // of nodes in the workspace
  float4* sums;
  int64_t q_stride, out_stride, table_stride;
  int group;         // query heads of a KV head
  int block_tokens;  // of the cache
  int box_tokens;    // of a copy
  int block_rows;    // of the map: a block, where its keys and values begin, and a head's
  int k_row, v_row, head_rows;
  int64_t block_bytes;
  int64_t v_scales;  // bytes from the scales of keys
  int window;        // so many that nothing is hidden where there is none
  float scale;       // of scores, for powers of two; with a cap of the score's share of it
  float cap;         // for powers of two; 0: none
};

// Dynamic shared memory, 1024-byte aligned.
template <class S>
struct Layout {
  static constexpr int kStackOuts = kDecodeLevels * S::kTiles * S::kThreads * 16;
  static constexpr int kStackSums = kDecodeLevels * S::kTiles * 64;
  static constexpr int kWeights = S::kRows * kWeightPitch;
  static constexpr int kExchange = S::kWarps * S::kRows * 4;  // a number a warp and row
  static constexpr int kFixed = kStackOuts + kStackSums + kWeights + 2 * kExchange + 256;
  // A kilobyte of each block belongs to the system. What is under way hides latency many times over.
  static constexpr int kFit = ((kMaxSharedBytes + 1024) / S::kBlocks - 1024 - kFixed) / S::kStageBytes;
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
    int4 words[4];
    DecodeUnit unit;
  } u;
#pragma unroll
  for (int i = 0; i < 4; ++i) u.words[i] = from[i];
  return u.unit;
}

// The cache's block that lane `lane` copies of a chunk: consecutive lanes have the two halves of a block, then the
// next. Of what lies before all windows the table may say nothing.
template <class S>
__device__ inline int block_of(const Params& p, const DecodeUnit& unit, int chunk, int lane) {
  const int position = (unit.first_chunk + chunk) * kDecodeChunk + lane / S::kHalves * p.box_tokens;
  if (lane / S::kHalves >= kDecodeChunk / p.box_tokens || position >= unit.keys) return 0;
  if (position + p.box_tokens <= unit.first_key) return 0;
  return p.block_tables[unit.sequence * p.table_stride + position / p.block_tokens];
}

template <class S>
__device__ inline void fetch_stage(const Params& p, const DecodeUnit& unit, int position, int count, int block,
                                   int first_row, uint32_t stage, uint32_t barrier, uint64_t policy, int lane) {
  const int boxes = (count + p.box_tokens - 1) / p.box_tokens, box_bytes = p.box_tokens / S::kLineKeys * 128;
  const int first_box = max(unit.first_key - position, 0) / p.box_tokens;
  const bool with_scales = S::kFp8 && first_row == p.k_row;
  if (lane == 0) {
    const int bytes = S::kHalves * box_bytes + (with_scales ? 2 * p.box_tokens * 4 : 0);
    ptx::barrier_expect(barrier, (boxes - first_box) * bytes);
  }
  __syncwarp();
  const int box = lane / S::kHalves, half = lane % S::kHalves;
  if (box < first_box || box >= boxes) return;
  // A block of the cache may be longer than a chunk.
  const int in_block = (position + box * p.box_tokens) % p.block_tokens / S::kLineKeys;
  ptx::tensor_copy(stage + half * (kDecodeChunk * 128) + box * box_bytes, &p.map, half * 128,
                   block * p.block_rows + first_row + unit.kv_head * p.head_rows + in_block, barrier, policy);
  if (!with_scales || half != 0) return;
  const uint8_t* scales = p.scales + block * p.block_bytes +
                          (unit.kv_head * p.block_tokens + in_block * S::kLineKeys) * static_cast<int64_t>(4);
  const uint32_t to = stage + S::kCodeBytes + box * p.box_tokens * 4;
  ptx::bulk_copy(to, scales, p.box_tokens * 4, barrier, policy);
  ptx::bulk_copy(to + kDecodeChunk * 4, scales + p.v_scales, p.box_tokens * 4, barrier, policy);
}

// By one warp, for all units of the block.
template <class S>
__device__ inline void fetch(const Params& p, uint32_t shared, int lane) {
  const uint32_t full = shared + Layout<S>::kBarriersAt, empty = full + Layout<S>::kStages * 8;
  const uint64_t policy = ptx::evict_first_policy();
  Place<S> place;
  bool waited = false;
  DecodeUnit unit = load_unit(p, 0);
  int block = unit.chunks > 0 ? block_of<S>(p, unit, unit.skip, lane) : 0;
  for (int round = 1; unit.chunks > 0; ++round) {
    const DecodeUnit next = load_unit(p, round);
    for (int chunk = unit.skip; chunk < unit.chunks; ++chunk) {
      // Ahead, so that nothing waits for the table.
      int next_block = 0;
      if (chunk + 1 < unit.chunks) {
        next_block = block_of<S>(p, unit, chunk + 1, lane);
      } else if (next.chunks > 0) {
        next_block = block_of<S>(p, next, next.skip, lane);
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

}  // namespace tern::decode_attention
