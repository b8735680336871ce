// What a block of prefill attention shares: the launch's parameters, its shared memory, and the warp that fills it with
// queries, keys and values.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "kernels/attention/prefill_attention.h"
#include "kernels/fp8_sm90.cuh"
#include "kernels/ptx_sm90.cuh"

namespace tern::prefill_attention {

constexpr int kMaxSharedBytes = 227 * 1024;  // of one block, on compute capability 9.0
constexpr int kWarpgroup = 128;
constexpr int kLine = 128;  // bytes: 64 dimensions, what the swizzle knows

// One instance of the kernel: a consumer is a warpgroup that computes a strip. Of an FP8 cache the four warps of the
// fetching warpgroup make bf16 of keys and values, else one of them has the copy engine do it.
template <DecodeKv Kv, int HeadDim, int Consumers, int Stages, bool Capped = false>
struct Shape {
  static constexpr bool kCapped = Capped;  // a form of its own, so that scores without a cap keep their registers
  using WithCap = Shape<Kv, HeadDim, Consumers, Stages, true>;
  static constexpr bool kFp8 = Kv == DecodeKv::kFp8;
  static constexpr DecodeKv kKv = Kv;
  static constexpr int kFetchWarps = kFp8 ? 4 : 1;
  static_assert(HeadDim == 64 || HeadDim == 128);
  static constexpr int kDim = HeadDim, kConsumers = Consumers, kStages = Stages;
  static constexpr int kHalves = HeadDim / 64;  // lines of a row
  static constexpr int kThreads = (Consumers + 1) * kWarpgroup;
  // In steps of 8; together no more than the launch gives, 65,536 / threads rounded down to 8 for each thread: a
  // warpgroup that asks for more waits forever.
  static constexpr int kFetchRegisters = kFp8 ? (Consumers <= 2 ? 72 : 56) : Consumers <= 2 ? 40 : 32;
  static constexpr int kComputeRegisters = kFp8 ? (Consumers <= 2 ? 216 : 152) : Consumers <= 2 ? 232 : 160;

  // Dynamic shared memory, 1024-byte aligned. Of a strip and of a stage, one half of the dimensions is behind the
  // other.
  static constexpr int kQueryBuffers = 2;
  static constexpr int kStripHalf = kPrefillStrip * kLine, kStageHalf = kPrefillKeys * kLine;
  static constexpr int kStripBytes = kStripHalf * kHalves, kStageBytes = kStageHalf * kHalves;
  static constexpr int kKeysAt = kQueryBuffers * Consumers * kStripBytes;
  static constexpr int kValuesAt = kKeysAt + Stages * kStageBytes;
  // With the queries comes their unit.
  static constexpr int kUnitsAt = kValuesAt + Stages * kStageBytes;
  // A full and an empty one for each stage of the three rings.
  static constexpr int kQueryBarriersAt = kUnitsAt + kQueryBuffers * static_cast<int>(sizeof(PrefillUnit));
  static constexpr int kKeyBarriersAt = kQueryBarriersAt + kQueryBuffers * 16;
  static constexpr int kValueBarriersAt = kKeyBarriersAt + Stages * 16;
  static constexpr int kBytes = kValueBarriersAt + Stages * 16;
  static_assert(kBytes <= kMaxSharedBytes);
  static_assert(kFetchRegisters + Consumers * kComputeRegisters <= (Consumers + 1) * (65536 / kThreads / 8 * 8));
};

// What a launch is told.
struct Params {
  CUtensorMap queries;       // columns, tokens; boxes of a line and a strip
  CUtensorMap keys, values;  // dimensions, tokens of a block, heads, blocks; boxes of a line and a page
  uint16_t* out;
  const int32_t* block_tables;
  const PrefillUnit* units;
  int64_t out_stride, table_stride;
  int group;        // query heads of a KV head
  int block_pages;  // of a block of the cache
  int window;       // 0: none
  float scale;      // of scores, for powers of two; of tanh where there is a cap
  float cap_scale;  // of scores, for tanh
  const float* sinks;
  // Of an FP8 cache.
  const uint8_t* pool;
  int64_t block_bytes, scale_offsets[2], offsets[2];  // of keys, of values
  int block_tokens;
};

// Stages that are filled and emptied in turn: a full and an empty barrier each, where this thread is, and which time
// round it is.
template <int Stages>
struct Ring {
  uint32_t barriers;
  int stage = 0;
  uint32_t parity = 0;

  __device__ uint32_t full() const { return barriers + stage * 8; }
  __device__ uint32_t empty() const { return barriers + (Stages + stage) * 8; }
  __device__ void wait_full() const { ptx::barrier_wait(full(), parity); }
  __device__ void wait_empty() const { ptx::barrier_wait(empty(), parity ^ 1); }
  __device__ void advance() {
    if (++stage == Stages) stage = 0, parity ^= 1;
  }
  // By a warp that has read the stage.
  __device__ void release(int lane) const {
    __syncwarp();
    if (lane == 0) ptx::barrier_arrive(empty());
  }
  // By each thread that has read the stage.
  __device__ void release_own() const { ptx::barrier_arrive(empty()); }
  // By one thread; `writers` fill a stage, `readers` release it.
  __device__ void init(int writers, int readers) const {
    for (int i = 0; i < Stages; ++i) {
      ptx::barrier_init(barriers + i * 8, writers);
      ptx::barrier_init(barriers + (Stages + i) * 8, readers);
    }
  }
};

template <class S>
struct Rings {
  Ring<S::kQueryBuffers> queries;
  Ring<S::kStages> keys, values;
  __device__ explicit Rings(uint32_t shared)
      : queries{shared + S::kQueryBarriersAt}, keys{shared + S::kKeyBarriersAt}, values{shared + S::kValueBarriersAt} {}
};

// By one warp, or four, for all units of the block.
template <class S>
struct Fetch {
  const Params& p;
  uint8_t* memory;
  uint32_t shared;
  int lane;
  Rings<S> rings;
  uint64_t once;  // queries are read once

  __device__ Fetch(const Params& params, uint8_t* at)
      : p(params),
        memory(at),
        shared(ptx::shared_address(at)),
        lane(static_cast<int>(threadIdx.x) % 32),
        rings(shared),
        once(ptx::evict_first_policy()) {}

  // A unit and its queries; the empty one that ends the work has none. Rows behind the sequence are the next one's;
  // behind the last, zero. Nothing comes of them.
  __device__ void queries(const PrefillUnit& unit) {
    auto& ring = rings.queries;
    const bool any = unit.end_page > 0;
    ring.wait_empty();
    if (lane == 0) {
      reinterpret_cast<PrefillUnit*>(memory + S::kUnitsAt)[ring.stage] = unit;
      ptx::barrier_expect(ring.full(), any ? S::kConsumers * S::kStripBytes : 0);
    }
    __syncwarp();
    if (any && lane < S::kConsumers * S::kHalves) {
      const int half = lane % S::kHalves, strip = unit.first_strip + lane / S::kHalves;
      const int head = unit.kv_head * p.group + strip % p.group;
      ptx::tensor_copy(shared + ring.stage * (S::kConsumers * S::kStripBytes) + lane * S::kStripHalf, &p.queries,
                       head * S::kDim + half * 64, unit.query_begin + strip / p.group * kPrefillStrip, ring.full(),
                       once);
    }
    ring.advance();
  }

  // Pages 2 block and 2 block + 1, a box a lane. Behind the end there is none; before the first there may be none: then
  // the first stands in, which has numbers at least.
  __device__ void block(const PrefillUnit& unit, int block, const CUtensorMap& map, Ring<S::kStages>& ring, int at) {
    const int pages = min(unit.end_page - 2 * block, 2), half = lane % S::kHalves, index = lane / S::kHalves;
    const int page = max(2 * block + index, unit.first_page);
    int entry = 0;
    if (index < pages) entry = p.block_tables[unit.sequence * p.table_stride + page / p.block_pages];
    ring.wait_empty();
    if (lane == 0) ptx::barrier_expect(ring.full(), pages * S::kHalves * kPrefillPage * kLine);
    __syncwarp();
    if (index < pages) {
      ptx::tensor_copy(
          shared + at + ring.stage * S::kStageBytes + half * S::kStageHalf + index * (kPrefillPage * kLine), &map,
          half * 64, page % p.block_pages * kPrefillPage, unit.kv_head, entry, ring.full());
    }
    ring.advance();
  }

  // Two bf16 numbers times a scale, rounded once.
  __device__ static uint32_t scaled(uint32_t pair, float scale) {
    return ptx::bf16_pair(__uint_as_float(pair << 16) * scale, __uint_as_float(pair & 0xffff0000u) * scale);
  }

  // The same block of an FP8 cache, by all four warps: 16 codes at a time become two pieces of a line. Behind the end
  // of the sequence all are zero.
  __device__ void convert(const PrefillUnit& unit, int block, int value, Ring<S::kStages>& ring, int at) {
    constexpr int kPieces = S::kDim / 16, kRowsAtOnce = kWarpgroup / kPieces;
    constexpr int kAhead = S::kConsumers <= 2 ? 4 : 2;  // what the registers hold
    const int piece = static_cast<int>(threadIdx.x) % kPieces, first = static_cast<int>(threadIdx.x) / kPieces;
    const int keys = unit.history + unit.query_len, rows = min(unit.end_page - 2 * block, 2) * kPrefillPage;
    uint8_t* stage = memory + at + ring.stage * S::kStageBytes + piece / 4 * S::kStageHalf;
    for (int row0 = first; row0 < rows; row0 += kAhead * kRowsAtOnce) {
      uint4 codes[kAhead];
      float scales[kAhead];
#pragma unroll
      for (int i = 0; i < kAhead; ++i) {
        const int row = row0 + i * kRowsAtOnce;
        codes[i] = {}, scales[i] = 0;
        if (row >= rows) continue;
        const int page = max(2 * block + row / kPrefillPage, unit.first_page);
        const int entry = p.block_tables[unit.sequence * p.table_stride + page / p.block_pages];
        const int position = page * kPrefillPage + row % kPrefillPage;
        const uint8_t* from = p.pool + entry * p.block_bytes;
        const int64_t place = static_cast<int64_t>(unit.kv_head) * p.block_tokens + position % p.block_tokens;
        if (position >= keys) continue;
        codes[i] = *reinterpret_cast<const uint4*>(from + p.offsets[value] + place * S::kDim + piece * 16);
        scales[i] = reinterpret_cast<const float*>(from + p.scale_offsets[value])[place];
      }
      if (row0 == first) ring.wait_empty();
#pragma unroll
      for (int i = 0; i < kAhead; ++i) {
        const int row = row0 + i * kRowsAtOnce;
        if (row >= rows) continue;
        const uint32_t words[4] = {codes[i].x, codes[i].y, codes[i].z, codes[i].w};
        uint8_t* line = stage + row * kLine;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const uint32_t a = words[2 * half], b = words[2 * half + 1];
          *reinterpret_cast<uint4*>(line + ((piece % 4 * 2 + half) ^ row % 8) * 16) =
              make_uint4(scaled(fp8::pair<0, 1>(a), scales[i]), scaled(fp8::pair<2, 3>(a), scales[i]),
                         scaled(fp8::pair<0, 1>(b), scales[i]), scaled(fp8::pair<2, 3>(b), scales[i]));
        }
      }
    }
    ptx::copy_engine_fence();
    __syncwarp();
    if (lane == 0) ptx::barrier_arrive(ring.full());
    ring.advance();
  }

  __device__ void keys(const PrefillUnit& unit, int index) {
    if constexpr (S::kFp8) {
      convert(unit, index, 0, rings.keys, S::kKeysAt);
    } else {
      block(unit, index, p.keys, rings.keys, S::kKeysAt);
    }
  }
  __device__ void values(const PrefillUnit& unit, int index) {
    if constexpr (S::kFp8) {
      convert(unit, index, 1, rings.values, S::kValuesAt);
    } else {
      block(unit, index, p.values, rings.values, S::kValuesAt);
    }
  }

  // In the order of use: the keys of a block are wanted before the values of the one before.
  __device__ void unit(const PrefillUnit& unit) {
    if (threadIdx.x < 32) queries(unit);
    const int top = (unit.end_page - 1) / 2, bottom = unit.first_page / 2;
    keys(unit, top);
    for (int i = top - 1; i >= bottom; --i) {
      keys(unit, i);
      values(unit, i + 1);
    }
    values(unit, bottom);
  }

  __device__ PrefillUnit load(int round) const {
    const auto* from = reinterpret_cast<const int4*>(p.units + static_cast<int64_t>(round) * gridDim.x + blockIdx.x);
    union {
      int4 words[2];
      PrefillUnit unit;
    } u;
    u.words[0] = from[0];
    u.words[1] = from[1];
    return u.unit;
  }

  __device__ void run() {
    PrefillUnit next = load(0);
    for (int round = 1; next.end_page > 0; ++round) {
      const PrefillUnit now = next;
      next = load(round);
      unit(now);
    }
    if (threadIdx.x < 32) queries(next);
  }
};

}  // namespace tern::prefill_attention
