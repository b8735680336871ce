// The body of the products of many tokens with 4-bit weights (w4_product.h) as a device function of one thread block.
//
// Work. The matrix unit's rows are output features, its columns tokens: weights go from shared memory through
// registers, where codes become bf16, straight into it, in the order in which they lie; x is its operand in shared
// memory. A tile is kTileRows features x kTokens tokens over all columns. Every block takes as many whole tiles as
// there are for each; the tiles left over are cut along the columns into one even run a block, whose sums meet in the
// workspace: the block that comes last to a tile adds them, in ascending order.
//
// One warp fetches stages of 128 columns, two warpgroups multiply: while the matrix unit has one fragment of a
// warpgroup, the warpgroup prepares the next.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "kernels/linear/w4_block32.h"
#include "kernels/linear/w4_product.h"
#include "kernels/ptx_sm90.cuh"
#include "kernels/vector_sm80.cuh"
#include "kernels/wgmma_sm90.cuh"

namespace tern::w4_product {

constexpr int kGroupCols = static_cast<int>(w4::kGroupCols);
constexpr int kLine = 128;  // bytes
constexpr int kWarpgroup = 128, kWarpgroups = 2;
constexpr int kComputeThreads = kWarpgroups * kWarpgroup;
constexpr int kThreads = kComputeThreads + kWarpgroup;  // the fetching warp has a warpgroup's registers to give away
constexpr int kStrip = 64;                              // rows of a matrix instruction
constexpr int kMaxBlocks = 1024;                        // counters at the start of the workspace
constexpr int kMaxTileSums = 256 * 128;

struct Params {
  CUtensorMap map;  // x: boxes of a line and kTokens tokens
  const uint8_t* weights;
  uint16_t* y;
  uint32_t* counters;  // [blocks], zero between launches
  float* sums;         // [blocks, 2, rows and tokens of a tile]
  int64_t y_stride;
  int rows, tokens;
  int row_tiles;     // 16 rows each, of the packed layout
  int groups;        // of 128 columns
  int token_tiles;   // that a tile of rows meets one after the other
  int tiles, waves;  // whole tiles of each block: block, block + blocks, ...
};

template <DecodeWeight W, int Tokens, int Strips>
struct Form {
  static constexpr DecodeWeight kWeight = W;
  static constexpr bool kOffset = W == DecodeWeight::kW4Block32Offset;
  static constexpr int kTokens = Tokens, kStrips = Strips;
  static constexpr int kTileRows = kWarpgroups * Strips * kStrip;
  static constexpr int kRowTiles = kTileRows / static_cast<int>(w4::kTileRows);
  static constexpr int kBlockBytes = static_cast<int>(w4::block32_stride(kOffset));
  static constexpr int kXBytes = Tokens * 2 * kLine;
  static constexpr int kStageBytes = kXBytes + kRowTiles * kBlockBytes;
  static constexpr int kMaxBytes = 225 * 1024;  // of 227 that a block may have
  static constexpr int kStages = kMaxBytes / kStageBytes < 8 ? kMaxBytes / kStageBytes : 8;
  static constexpr int kBarriersOffset = kStages * kStageBytes;
  static constexpr int kBytes = kBarriersOffset + kStages * 16 + 16;
  static_assert(kStageBytes % 1024 == 0 && kTileRows * Tokens <= kMaxTileSums);
};

// Columns [begin, end) of a tile, in groups.
struct Run {
  int tile, begin, end;
};

// The runs of a block.
struct Walk {
  int blocks, tile, cut_tile0;  // the first of the tiles that are cut
  int64_t cut, sharers;         // their groups, and the blocks that share them: none is without
  int64_t at, end;              // of this block, counted from the first of them

  __device__ explicit Walk(const Params& p)
      : blocks(static_cast<int>(gridDim.x)), tile(static_cast<int>(blockIdx.x)), cut_tile0(p.waves * blocks) {
    cut = max(p.tiles - cut_tile0, 0) * static_cast<int64_t>(p.groups);
    sharers = min(cut, int64_t{blocks});
    at = tile < sharers ? cut * tile / sharers : 0;
    end = tile < sharers ? cut * (tile + 1) / sharers : 0;
  }
  __device__ bool next(const Params& p, Run& run) {
    if (tile < min(cut_tile0, p.tiles)) {
      run = {tile, 0, p.groups};
      tile += blocks;
      return true;
    }
    if (at >= end) return false;
    const auto begin = static_cast<int>(at % p.groups);
    const auto size = static_cast<int>(min(int64_t{p.groups} - begin, end - at));
    run = {cut_tile0 + static_cast<int>(at / p.groups), begin, begin + size};
    at += size;
    return true;
  }
  // The block that has a group of the tiles that are cut.
  __device__ int owner(int64_t group) const { return static_cast<int>(((group + 1) * sharers - 1) / cut); }
};

// A place in the ring of stages, and which time it is passed.
struct Place {
  int stage = 0;
  uint32_t parity = 0;
  __device__ void advance(int stages) {
    if (++stage == stages) stage = 0, parity ^= 1;
  }
};

template <class F>
struct Ring {
  uint32_t shared;
  __device__ uint32_t x(int stage) const { return shared + stage * F::kStageBytes; }
  __device__ uint32_t weights(int stage) const { return x(stage) + F::kXBytes; }
  __device__ uint32_t full(int stage) const { return shared + F::kBarriersOffset + stage * 8; }
  __device__ uint32_t empty(int stage) const { return full(stage) + F::kStages * 8; }
};

// The warp that fetches.
template <class F>
class Fetch {
 public:
  __device__ Fetch(const Params& p, uint32_t shared)
      : p_(p), ring_{shared}, lane_(static_cast<int>(threadIdx.x) % 32), policy_(ptx::evict_first_policy()) {}

  __device__ void run() {
    // Weights may come while the launch before still writes x.
    Walk walk(p_);
    Run run = {};
    Place place;
    int ahead = 0;
    while (ahead < F::kStages && step(walk, run)) weights(run, ahead++);
    ptx::wait_for_previous_launch();
    Walk again(p_);
    Run early = {};
    for (int i = 0; i < ahead && step(again, early); ++i) x(early, i);
    if (ahead < F::kStages) return;
    while (step(walk, run)) {
      ptx::barrier_wait(ring_.empty(place.stage), place.parity);
      weights(run, place.stage);
      x(run, place.stage);
      place.advance(F::kStages);
    }
  }

 private:
  // On to the next group: run.begin is the one.
  __device__ bool step(Walk& walk, Run& run) {
    if (++run.begin < run.end) return true;
    return walk.next(p_, run);
  }
  __device__ void weights(const Run& run, int stage) {
    const int first = run.tile / p_.token_tiles * F::kRowTiles;
    const int count = min(F::kRowTiles, p_.row_tiles - first);
    if (lane_ == 0) ptx::barrier_expect(ring_.full(stage), F::kXBytes + count * F::kBlockBytes);
    __syncwarp();
    if (lane_ >= count) return;
    const int64_t block = static_cast<int64_t>(first + lane_) * p_.groups + run.begin;
    const uint32_t to = ring_.weights(stage) + lane_ * F::kBlockBytes;
    if (p_.token_tiles == 1) {
      ptx::bulk_copy(to, p_.weights + block * F::kBlockBytes, F::kBlockBytes, ring_.full(stage), policy_);
    } else {
      ptx::bulk_copy(to, p_.weights + block * F::kBlockBytes, F::kBlockBytes, ring_.full(stage));
    }
  }
  __device__ void x(const Run& run, int stage) {
    if (lane_ >= 2) return;
    ptx::tensor_copy(ring_.x(stage) + lane_ * (F::kXBytes / 2), &p_.map, run.begin * kGroupCols + lane_ * (kLine / 2),
                     run.tile % p_.token_tiles * F::kTokens, ring_.full(stage));
  }

  const Params& p_;
  Ring<F> ring_;
  int lane_;
  uint64_t policy_;
};

__device__ inline uint32_t both(float value) {
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %1;" : "=r"(pair) : "f"(value));
  return pair;
}

// Two neighbouring codes of a word as bf16 (code - 8) * scale + offset.
template <bool Offset>
__device__ inline uint32_t weight_pair(uint32_t word, int pair, uint32_t scale, uint32_t offset) {
  // 128 + code has the code in its lowest bits.
  const uint32_t biased = ptx::and_or(word >> (4 * pair), 0x000f000fu, 0x43004300u);
  const uint32_t code = ptx::subtract_bf16x2(biased, 0x43084308u);
  if constexpr (Offset) return ptx::multiply_add_bf16x2(code, scale, offset);
  return ptx::multiply_bf16x2(code, scale);
}

// A warpgroup that multiplies: strips [kStrips warpgroup, kStrips (warpgroup + 1)) of a tile.
template <class F>
class Compute {
 public:
  __device__ Compute(const Params& p, uint8_t* shared)
      : p_(p),
        ring_{ptx::shared_address(shared)},
        last_(reinterpret_cast<uint32_t*>(shared + F::kBarriersOffset + F::kStages * 16)),
        thread_(static_cast<int>(threadIdx.x) - kWarpgroup),
        warp_(thread_ % kWarpgroup / 32),
        lane_(thread_ % 32),
        strip_(thread_ / kWarpgroup * F::kStrips) {}

  __device__ void run() {
    Walk walk(p_);
    for (Run run; walk.next(p_, run);) {
      for (int group = run.begin; group < run.end; ++group) multiply_group(group > run.begin);
      ptx::products_wait<0>();
#pragma unroll
      for (int s = 0; s < F::kStrips; ++s) ptx::settle(sums_[s]);
      release();
      held_ = -1;
      ptx::wait_for_previous_launch();  // which may still read y
      if (run.end - run.begin == p_.groups || join(walk, run)) write(run.tile);
    }
  }

 private:
  static constexpr int kHalf = F::kTokens / 2;  // sums of a thread and strip

  // Of one stage; the stage before is given back as soon as its last product is complete.
  __device__ void multiply_group(bool add) {
    ptx::barrier_wait(ring_.full(place_.stage), place_.parity);
    const uint32_t x = ring_.x(place_.stage);
    const uint32_t own = ring_.weights(place_.stage) + (strip_ * 4 + warp_) * F::kBlockBytes;
    uint4 words[F::kStrips] = {};
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      const uint32_t line = x + step / 2 * (F::kXBytes / 2) + step % 2 * 64;
      const uint64_t b = ptx::matrix_descriptor(line, 0, 8 * kLine);
#pragma unroll
      for (int s = 0; s < F::kStrips; ++s) {
        const uint32_t block = own + s * 4 * F::kBlockBytes;
        if (step % 2 == 0) words[s] = ptx::load_shared_16(block + step / 2 * 512 + lane_ * 16);
        constexpr int kBuffers = 2;
        uint32_t(&a)[8] = fragments_[(step * F::kStrips + s) % kBuffers];
        decode(step % 2 ? words[s].z : words[s].x, step % 2 ? words[s].w : words[s].y, block, step, a);
        ptx::products_begin();
        ptx::multiply_fragments(sums_[s], a, b, add || step > 0);
        ptx::multiply_fragments(sums_[s], a + 4, b + 2, true);  // 32 bytes on
        ptx::products_commit();
        ptx::products_wait<1>();
        ptx::settle(fragments_[(step * F::kStrips + s + 1) % kBuffers]);
        if (step == 0 && s == 0) release();
      }
    }
    held_ = place_.stage;
    place_.advance(F::kStages);
  }

  // Weights of 32 columns.
  __device__ void decode(uint32_t low, uint32_t high, uint32_t block, int step, uint32_t (&a)[8]) {
    const uint32_t at = block + static_cast<uint32_t>(w4::kCodeBytes) + lane_ / 4 * 4;
    float scale_low, scale_high, offset_low = 0, offset_high = 0;
    ptx::halves_to_floats(ptx::load_shared_4(at + step * 32), scale_low, scale_high);
    if constexpr (F::kOffset) ptx::halves_to_floats(ptx::load_shared_4(at + (4 + step) * 32), offset_low, offset_high);
    const uint32_t scales[2] = {both(scale_low), both(scale_high)};
    const uint32_t offsets[2] = {both(offset_low), both(offset_high)};
#pragma unroll
    for (int i = 0; i < 8; ++i)
      a[i] = weight_pair<F::kOffset>(i % 2 ? high : low, i / 2, scales[i % 2], offsets[i % 2]);
  }

  __device__ void release() {
    __syncwarp();
    if (held_ >= 0 && lane_ == 0) ptx::barrier_arrive(ring_.empty(held_));
  }

  // Brings the sums of a run to those of the tile's other runs. Whether this block came last: then it has all.
  __device__ bool join(const Walk& walk, const Run& run) {
    const int64_t begin = static_cast<int64_t>(run.tile - walk.cut_tile0) * p_.groups;
    const int first = walk.owner(begin), last = walk.owner(begin + p_.groups - 1);
    // A block has at most two runs of tiles that others have too: one that they began, one that it begins.
    const auto place = [&](int block) {
      return reinterpret_cast<float4*>(p_.sums + (int64_t{2} * block + (block == first)) * F::kTileRows * F::kTokens) +
             thread_;
    };
    constexpr int kPieces = kHalf / 4;
    float4* own = place(static_cast<int>(blockIdx.x));
#pragma unroll
    for (int s = 0; s < F::kStrips; ++s) {
#pragma unroll
      for (int i = 0; i < kPieces; ++i) {
        own[(s * kPieces + i) * kComputeThreads] = {sums_[s][4 * i], sums_[s][4 * i + 1], sums_[s][4 * i + 2],
                                                    sums_[s][4 * i + 3]};
      }
    }
    __threadfence();
    ptx::sync(kJoinBarrier, kComputeThreads);
    if (thread_ == 0) {
      const uint32_t others = static_cast<uint32_t>(last - first);
      const bool came_last = atomicAdd(p_.counters + first, 1) == others;
      if (came_last) p_.counters[first] = 0;
      *last_ = came_last;
    }
    ptx::sync(kJoinBarrier, kComputeThreads);
    const bool came_last = *last_ != 0;
    if (!came_last) return false;
    __threadfence();
#pragma unroll
    for (int s = 0; s < F::kStrips; ++s) {
#pragma unroll
      for (int i = 0; i < kHalf; ++i) sums_[s][i] = 0;
    }
    for (int block = first; block <= last; ++block) {
      const float4* part = place(block);
#pragma unroll
      for (int s = 0; s < F::kStrips; ++s) {
#pragma unroll
        for (int i = 0; i < kPieces; ++i) {
          const float4 v = __ldcg(part + (s * kPieces + i) * kComputeThreads);
          sums_[s][4 * i] += v.x, sums_[s][4 * i + 1] += v.y, sums_[s][4 * i + 2] += v.z, sums_[s][4 * i + 3] += v.w;
        }
      }
    }
    return true;
  }

  // Eight rows and eight tokens at a time are turned over, so that a lane has two neighbouring rows of a token.
  __device__ void write(int tile) {
    const int token0 = tile % p_.token_tiles * F::kTokens + lane_ / 4;
    const int row0 = tile / p_.token_tiles * F::kTileRows + strip_ * kStrip + warp_ * 16 + lane_ % 4 * 2;
#pragma unroll
    for (int s = 0; s < F::kStrips; ++s) {
#pragma unroll
      for (int i = 0; i < kHalf / 2; ++i) {
        const uint32_t pair = ptx::transpose(gpu::pair_of(sums_[s][2 * i], sums_[s][2 * i + 1]));
        const int row = row0 + s * kStrip + i % 2 * 8, token = token0 + i / 2 * 8;
        if (token >= p_.tokens || row >= p_.rows) continue;
        uint16_t* to = p_.y + token * p_.y_stride + row;
        if (row + 1 < p_.rows) {
          *reinterpret_cast<uint32_t*>(to) = pair;
        } else {
          *to = static_cast<uint16_t>(pair);
        }
      }
    }
  }

  static constexpr int kJoinBarrier = 1;

  const Params& p_;
  Ring<F> ring_;
  uint32_t* last_;
  int thread_, warp_, lane_, strip_;
  Place place_;
  int held_ = -1;  // the stage to give back
  float sums_[F::kStrips][kHalf];
  uint32_t fragments_[2][8];
};

// `shared` is the start of dynamic shared memory, 1024-byte aligned.
template <class F>
__device__ inline void run_block(const Params& p, uint8_t* shared) {
  const uint32_t address = ptx::shared_address(shared);
  ptx::allow_next_launch();
  if (threadIdx.x == 0) {
    const Ring<F> ring{address};
    for (int stage = 0; stage < F::kStages; ++stage) {
      ptx::barrier_init(ring.full(stage), 1);
      ptx::barrier_init(ring.empty(stage), kComputeThreads / 32);
    }
    ptx::barrier_init_fence();
  }
  __syncthreads();
  if (threadIdx.x < kWarpgroup) {
    ptx::give_registers<40>();
    if (threadIdx.x < 32) Fetch<F>(p, address).run();
  } else {
    ptx::take_registers<232>();
    Compute<F>(p, shared).run();
  }
}

}  // namespace tern::w4_product
