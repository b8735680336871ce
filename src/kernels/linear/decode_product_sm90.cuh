// The body of the decode products (decode_product.h) as a device function of one thread block.
//
// Work. A block owns a few 16-row tiles and goes through the columns in phases, each as many groups of 128 columns as
// fit twice into shared memory with x. A phase's (tile, group) pairs, in that order, are cut into one contiguous run a
// warp. Every warp is on its own: it fetches its runs through a ring of bulk copies and feeds the matrix unit, whose 8
// columns are the tokens. Partial sums lie in slots of shared memory, one a (tile, warp) pair that meets, to which each
// phase adds; at the end the slots of a tile are added in ascending order. Nothing of this depends on the number of
// tokens.
//
// Overlap. The ring is filled before waiting for the previous launch, and the next launch is let in when the last copy
// of this one is on its way: the memory need not wait for a launch to end.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "kernels/linear/decode_product.h"
#include "kernels/linear/w4_tiles.h"
#include "kernels/ptx_sm90.cuh"

namespace tern::decode_product {

constexpr int kTileRows = 16;
constexpr int kGroupCols = 128;
constexpr int kMatrixTokens = 8;  // columns of the matrix instruction
constexpr int kSlotBytes = kTileRows * kMatrixTokens * 4;
constexpr int kBoxBytes = kTileRows * 128;  // a tensor copy: 16 rows of 128 bytes, their 16-byte pieces swizzled

// What a launch is told. Byte offsets are into dynamic shared memory.
struct Params {
  CUtensorMap map;         // of row-major weights
  const uint8_t* weights;  // packed ones
  const float* scales;
  const uint8_t* x;
  int64_t x_stride_bytes;
  uint16_t* y;
  int64_t y_stride;
  int rows, cols, tokens;
  int tiles, groups;  // of the whole matrix
  int blocks;         // block b has tiles [tiles b / blocks, tiles (b + 1) / blocks)
  int phase_groups, phases;
  int x_pitch;  // bytes between tokens in shared memory
  int x_offset, slots_offset, scales_offset, barriers_offset;
};

// How a weight lies in a warp's ring: a stage is a unit of up to UnitGroups groups of one tile.
template <DecodeWeight W, int UnitGroups, int Stages, int Warps>
struct Ring {
  static constexpr DecodeWeight kWeight = W;
  static constexpr int kUnitGroups = UnitGroups, kStages = Stages, kWarps = Warps;  // warps that multiply
  static constexpr int kThreads = (Warps + 2) * 32;
  static constexpr bool kPacked = W == DecodeWeight::kW4;
  static constexpr bool kFp8 = W == DecodeWeight::kFp8Channel || W == DecodeWeight::kFp8Block;
  static constexpr int kGroupBytes = kPacked ? static_cast<int>(w4::kBlockBytes) : kFp8 ? kBoxBytes : 2 * kBoxBytes;
  static constexpr int kUnitBytes = UnitGroups * kGroupBytes;
  static constexpr int kBytes = Warps * Stages * kUnitBytes;
};

// A warp's run of (tile, group) pairs, the same in every phase, walked in units that do not cross a tile.
template <class R>
struct Cursor {
  int tile0, group0, count;  // where a phase begins, and its pairs
  int phase, tile, group, left;

  __device__ Cursor(const Params& p, int tile_count, int warp) {
    const int pairs = tile_count * p.phase_groups;
    const int begin = pairs * warp / R::kWarps;
    count = pairs * (warp + 1) / R::kWarps - begin;
    tile0 = begin / p.phase_groups;
    group0 = begin % p.phase_groups;
    phase = count > 0 ? 0 : p.phases;
    tile = tile0, group = group0, left = count;
  }
  __device__ bool done(const Params& p) const { return phase >= p.phases; }
  __device__ int column_group(const Params& p) const { return phase * p.phase_groups + group; }
  __device__ int size(const Params& p) const {
    return min(min(R::kUnitGroups, p.groups - column_group(p)), min(p.phase_groups - group, left));
  }
  __device__ void advance(const Params& p, int size) {
    step(p, size);
    // In the last phase, groups behind the last column.
    while (phase < p.phases && column_group(p) >= p.groups) step(p, min(left, p.phase_groups - group));
  }

 private:
  __device__ void step(const Params& p, int size) {
    group += size;
    left -= size;
    if (group == p.phase_groups) group = 0, ++tile;
    if (left == 0) ++phase, tile = tile0, group = group0, left = count;
  }
};

// By one lane.
template <class R>
__device__ inline void fetch_unit(const Params& p, const Cursor<R>& cursor, int first_tile, uint32_t stage,
                                  uint32_t barrier, uint64_t policy) {
  const int tile = first_tile + cursor.tile, group = cursor.column_group(p), size = cursor.size(p);
  ptx::barrier_expect(barrier, size * R::kGroupBytes);
  if constexpr (R::kPacked) {
    const int64_t block = static_cast<int64_t>(tile) * p.groups + group;
    ptx::bulk_copy(stage, p.weights + block * w4::kBlockBytes, size * R::kGroupBytes, barrier, policy);
  } else {
    constexpr int kBoxes = R::kGroupBytes / kBoxBytes, kBoxCols = kGroupCols / kBoxes;
    for (int i = 0; i < size * kBoxes; ++i) {
      ptx::tensor_copy(stage + i * kBoxBytes, &p.map, group * kGroupCols + i * kBoxCols, tile * kTileRows, barrier,
                       policy);
    }
  }
}

// The columns of a phase of x, by one warp. Columns behind the last become zero, as their weights are.
__device__ inline void fetch_x(const Params& p, int phase, uint32_t x, uint32_t barrier, int lane) {
  const int begin = phase * p.phase_groups * kGroupCols;
  const int cols = min(p.phase_groups * kGroupCols, p.cols - begin);
  const int tail = -cols & (kGroupCols - 1);
  for (int i = lane; i < p.tokens * tail; i += 32) {
    ptx::store_shared_2(x + i / tail * p.x_pitch + (cols + i % tail) * 2, 0);
  }
  __syncwarp();
  if (lane == 0) ptx::barrier_expect(barrier, p.tokens * cols * 2);
  __syncwarp();
  if (lane < p.tokens) {
    ptx::bulk_copy(x + lane * p.x_pitch, p.x + lane * p.x_stride_bytes + begin * 2, cols * 2, barrier);
  }
}

// Two neighbouring codes of a word as bf16 code - 8: 128 + code has the code in its lowest bits.
__device__ inline uint32_t w4_pair(uint32_t word, int pair) {
  const uint32_t biased = ptx::and_or(word >> (4 * pair), 0x000f000fu, 0x43004300u);
  return ptx::subtract_bf16x2(biased, 0x43084308u);
}

// Two e4m3 numbers as bf16, moved to the high bytes of the halves first: the fields move to their places, the
// exponent's bias (7 instead of 127) is a factor of 2^120, exact also for subnormal numbers.
__device__ inline uint32_t fp8_pair(uint32_t word, bool upper) {
  const uint32_t spread = __byte_perm(word, 0, upper ? 0x3424 : 0x1404);
  const uint32_t placed = ptx::and_or(spread, 0x80008000u, spread >> 4 & 0x07f007f0u);
  return ptx::multiply_bf16x2(placed, 0x7b807b80u);
}

// Where a lane reads: fixed for the launch.
template <class R, int N>
struct Lane {
  uint32_t weights;  // offset in a group
  uint32_t swizzle;  // of row-major weights: which 16-byte piece of 8 in a row
  uint32_t x[N];     // offset of the lane's token, tokens behind the last read the last one

  __device__ Lane(const Params& p, int lane) {
    const int row = R::kFp8 ? lane / 4 : lane % 16;
    const int piece = R::kFp8 ? lane % 4 : lane / 16;
    weights = R::kPacked ? lane * 16 : row * 128;
    swizzle = (piece ^ (row & 7)) << 4;
#pragma unroll
    for (int n = 0; n < N; ++n) {
      const int token = min((R::kFp8 ? lane / 4 : lane % 8) + n * kMatrixTokens, p.tokens - 1);
      x[n] = token * p.x_pitch + (R::kFp8 ? lane % 4 * 32 : lane / 8 * 16);
    }
  }
};

// sums[n] += a tile's group of 128 columns x tokens 8 n .. 8 n + 7. `group` and `x` are shared addresses of the group.
template <class R, int N>
__device__ inline void multiply_group(const Lane<R, N>& at, uint32_t group, uint32_t x, float scale,
                                      float (&sums)[N][4], int lane) {
  float chain[N][2][4] = {};  // two chains of matrix instructions: one would wait for itself
  if constexpr (R::kFp8) {
    // A lane multiplies 16 columns of a step of 64; matrix instruction j takes 4 of them.
#pragma unroll
    for (int step = 0; step < 2; ++step) {
      const uint32_t row = group + at.weights + (at.swizzle ^ step << 6);
      const uint4 low = ptx::load_shared_16(row), high = ptx::load_shared_16(row + 1024);
      const uint32_t low_words[4] = {low.x, low.y, low.z, low.w}, high_words[4] = {high.x, high.y, high.z, high.w};
      uint4 b[N][2];
#pragma unroll
      for (int n = 0; n < N; ++n) {
        b[n][0] = ptx::load_shared_16(x + at.x[n] + step * 128);
        b[n][1] = ptx::load_shared_16(x + at.x[n] + step * 128 + 16);
      }
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const uint32_t a0 = fp8_pair(low_words[j], false), a1 = fp8_pair(high_words[j], false);
        const uint32_t a2 = fp8_pair(low_words[j], true), a3 = fp8_pair(high_words[j], true);
#pragma unroll
        for (int n = 0; n < N; ++n) {
          const uint4 v = b[n][j / 2];
          ptx::multiply_bf16(chain[n][j % 2], a0, a1, a2, a3, j % 2 ? v.z : v.x, j % 2 ? v.w : v.y);
        }
      }
    }
  } else {
    uint4 words = {};
#pragma unroll
    for (int step = 0; step < 4; ++step) {  // 32 columns
      uint4 a[2];
      if constexpr (R::kPacked) {
        if (step % 2 == 0) words = ptx::load_shared_16(group + at.weights + step / 2 * 512);
        const uint32_t low = step % 2 ? words.z : words.x, high = step % 2 ? words.w : words.y;
        a[0] = {w4_pair(low, 0), w4_pair(high, 0), w4_pair(low, 1), w4_pair(high, 1)};
        a[1] = {w4_pair(low, 2), w4_pair(high, 2), w4_pair(low, 3), w4_pair(high, 3)};
      } else {
        const uint32_t row = group + step / 2 * kBoxBytes + at.weights;
        a[0] = ptx::load_matrices(row + (at.swizzle ^ step % 2 << 6));
        a[1] = ptx::load_matrices(row + (at.swizzle ^ (step % 2 << 6 | 32)));
      }
#pragma unroll
      for (int n = 0; n < N; ++n) {
        const uint4 b = ptx::load_matrices(x + at.x[n] + step * 64);
        ptx::multiply_bf16(chain[n][0], a[0].x, a[0].y, a[0].z, a[0].w, b.x, b.y);
        ptx::multiply_bf16(chain[n][1], a[1].x, a[1].y, a[1].z, a[1].w, b.z, b.w);
      }
    }
  }

  float scale_low = scale, scale_high = scale;
  if constexpr (R::kPacked) {
    const uint32_t scales = ptx::load_shared_4(group + static_cast<int>(w4::kCodeBytes) + lane / 4 * 4);
    asm("{.reg .f16 l, h; mov.b32 {l, h}, %2; cvt.f32.f16 %0, l; cvt.f32.f16 %1, h;}"
        : "=f"(scale_low), "=f"(scale_high)
        : "r"(scales));
  }
#pragma unroll
  for (int n = 0; n < N; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float sum = chain[n][0][i] + chain[n][1][i];
      sums[n][i] = __fmaf_rn(i < 2 ? scale_low : scale_high, sum, sums[n][i]);
    }
  }
}

__device__ inline uint16_t bf16_bits(float value) {
  uint16_t bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}

// The scales of fp8 weights that a block needs, into shared memory: a row's, or [8 tiles, groups].
template <class R>
__device__ inline void load_scales(const Params& p, float* scales, int first_tile, int tile_count) {
  if constexpr (R::kWeight == DecodeWeight::kFp8Channel) {
    const int row = first_tile * kTileRows, rows = min(tile_count * kTileRows, p.rows - row);
    for (int i = static_cast<int>(threadIdx.x); i < rows; i += R::kThreads) scales[i] = p.scales[row + i];
  } else if constexpr (R::kWeight == DecodeWeight::kFp8Block) {
    const int begin = first_tile / 8 * p.groups, end = ((first_tile + tile_count - 1) / 8 + 1) * p.groups;
    for (int i = begin + static_cast<int>(threadIdx.x); i < end; i += R::kThreads) scales[i - begin] = p.scales[i];
  }
}

// Adds the slots of the block's tiles and writes y.
template <class R, int N>
__device__ inline void write_sums(const Params& p, const uint8_t* slots, const float* scales, int first_tile,
                                  int tile_count, int warp, int lane) {
  const int pairs = tile_count * p.phase_groups;
  for (int i = warp; i < tile_count * N; i += R::kThreads / 32) {
    const int tile = i / N, n = i % N;
    // Warp w has pairs [pairs w / kWarps, pairs (w + 1) / kWarps).
    const int first = ((tile * p.phase_groups + 1) * R::kWarps - 1) / pairs;
    const int last = ((tile + 1) * p.phase_groups * R::kWarps - 1) / pairs;
    float sum[4] = {};
    for (int from = first; from <= last; ++from) {
      if (pairs * from / R::kWarps == pairs * (from + 1) / R::kWarps) continue;  // a warp without work
      const float4 part = *reinterpret_cast<const float4*>(slots + ((tile + from) * N + n) * kSlotBytes + lane * 16);
      sum[0] += part.x;
      sum[1] += part.y;
      sum[2] += part.z;
      sum[3] += part.w;
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int row_in_block = tile * kTileRows + lane / 4 + j / 2 * 8;
      const int row = first_tile * kTileRows + row_in_block;
      const int token = n * kMatrixTokens + lane % 4 * 2 + j % 2;
      if (row >= p.rows || token >= p.tokens) continue;
      if constexpr (R::kWeight == DecodeWeight::kFp8Channel) sum[j] *= scales[row_in_block];
      p.y[token * p.y_stride + row] = bf16_bits(sum[j]);
    }
  }
}

// What the warps of a block share.
struct Block {
  uint32_t ring, full, empty;  // shared addresses: of warp w's stage s at (w * stages + s) units or 8 bytes
  uint32_t x, x_bytes;         // two parts of x
  uint32_t x_full, x_empty;    // 2 barriers each
  int first_tile, tile_count;
};

template <class R>
__device__ inline Block block_of(const Params& p, int block, uint32_t shared) {
  Block b;
  b.ring = shared;
  b.full = shared + p.barriers_offset;
  b.empty = b.full + R::kWarps * R::kStages * 8;
  b.x_full = b.empty + R::kWarps * R::kStages * 8;
  b.x_empty = b.x_full + 16;
  b.x = shared + p.x_offset;
  b.x_bytes = p.tokens * p.x_pitch;
  b.first_tile = p.tiles * block / p.blocks;
  b.tile_count = p.tiles * (block + 1) / p.blocks - b.first_tile;
  return b;
}

template <class R>
__device__ inline void init_barriers(const Block& b, int lane) {
  for (int i = lane; i < R::kWarps * R::kStages; i += 32) {
    ptx::barrier_init(b.full + i * 8, 1);
    ptx::barrier_init(b.empty + i * 8, 1);
  }
  if (lane < 2) {
    ptx::barrier_init(b.x_full + lane * 8, 1);
    ptx::barrier_init(b.x_empty + lane * 8, R::kWarps);
  }
  ptx::barrier_init_fence();
  __syncwarp();
}

// The warp that fills the rings: lane w that of warp w. The first round needs no barrier of the others.
template <class R>
__device__ inline void fill_rings(const Params& p, const Block& b, int lane) {
  const uint64_t policy = ptx::evict_first_policy();
  Cursor<R> fetch(p, b.tile_count, lane < R::kWarps ? lane : 0);
  if (lane >= R::kWarps) fetch.phase = p.phases;
  int stage = lane * R::kStages, round = 0;
  while (!__all_sync(0xffffffffu, fetch.done(p))) {
    if (fetch.done(p)) continue;
    if (round > 0 && !ptx::barrier_test(b.empty + stage * 8, round - 1 & 1)) continue;
    fetch_unit<R>(p, fetch, b.first_tile, b.ring + stage * R::kUnitBytes, b.full + stage * 8, policy);
    fetch.advance(p, fetch.size(p));
    if (++stage == (lane + 1) * R::kStages) stage = lane * R::kStages, ++round;
  }
  ptx::allow_next_launch();
}

// The warp that fetches x: two phases ahead of the others.
template <class R>
__device__ inline void fill_x(const Params& p, const Block& b, int lane) {
  for (int phase = 0; phase < p.phases; ++phase) {
    const int buffer = phase % 2;
    if (phase >= 2) ptx::barrier_wait(b.x_empty + buffer * 8, phase / 2 - 1 & 1);
    fetch_x(p, phase, b.x + buffer * b.x_bytes, b.x_full + buffer * 8, lane);
  }
}

// A warp that multiplies.
template <class R, int N>
__device__ inline void multiply_run(const Params& p, const Block& b, uint8_t* slots, const float* scales, int warp,
                                    int lane) {
  const Lane<R, N> at(p, lane);
  Cursor<R> work(p, b.tile_count, warp);
  float sums[N][4] = {};
  int stage = 0;
  uint32_t parity = 0;
  for (int phase = 0; phase < p.phases; ++phase) {
    const int buffer = phase % 2;
    const uint32_t x = b.x + buffer * b.x_bytes;
    ptx::barrier_wait(b.x_full + buffer * 8, phase / 2 & 1);
    while (work.phase == phase) {
      const int size = work.size(p), tile = work.tile, index = warp * R::kStages + stage;
      const uint32_t unit = b.ring + index * R::kUnitBytes, unit_x = x + work.group * kGroupCols * 2;
      const float* scale = scales + ((b.first_tile + tile) / 8 - b.first_tile / 8) * p.groups + work.column_group(p);
      const auto multiply = [&](int i) {
        const float factor = R::kWeight == DecodeWeight::kFp8Block ? scale[i] : 1.0f;
        multiply_group<R, N>(at, unit + i * R::kGroupBytes, unit_x + i * kGroupCols * 2, factor, sums, lane);
      };
      ptx::barrier_wait(b.full + index * 8, parity);
      if (size == R::kUnitGroups) {
#pragma unroll
        for (int i = 0; i < R::kUnitGroups; ++i) multiply(i);
      } else {
        for (int i = 0; i < size; ++i) multiply(i);
      }
      __syncwarp();
      if (lane == 0) ptx::barrier_arrive(b.empty + index * 8);
      if (++stage == R::kStages) stage = 0, parity ^= 1;
      work.advance(p, size);
      if (work.tile == tile && work.phase == phase) continue;
      auto* slot = reinterpret_cast<float4*>(slots + (tile + warp) * N * kSlotBytes) + lane;
#pragma unroll
      for (int n = 0; n < N; ++n, slot += 32) {
        float4 before = {};
        if (phase > 0) before = *slot;
        *slot = {before.x + sums[n][0], before.y + sums[n][1], before.z + sums[n][2], before.w + sums[n][3]};
#pragma unroll
        for (int i = 0; i < 4; ++i) sums[n][i] = 0;
      }
    }
    __syncwarp();
    if (lane == 0) ptx::barrier_arrive(b.x_empty + buffer * 8);
  }
}

// Block `block`. `shared` is the start of dynamic shared memory, 1024-byte aligned.
template <class R, int N>
__device__ inline void run_block(const Params& p, int block, uint8_t* shared) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const Block b = block_of<R>(p, block, ptx::shared_address(shared));
  float* scales = reinterpret_cast<float*>(shared + p.scales_offset);
  uint8_t* slots = shared + p.slots_offset;

  // Weights and scales are fetched before the wait for the launch before, x after it.
  if (warp == R::kWarps) init_barriers<R>(b, lane);
  load_scales<R>(p, scales, b.first_tile, b.tile_count);
  __syncthreads();
  if (warp == R::kWarps) {
    fill_rings<R>(p, b, lane);
  } else if (warp == R::kWarps + 1) {
    ptx::wait_for_previous_launch();
    fill_x<R>(p, b, lane);
  } else {
    multiply_run<R, N>(p, b, slots, scales, warp, lane);
  }
  ptx::wait_for_previous_launch();  // it may still read what is written now
  __syncthreads();
  write_sums<R, N>(p, slots, scales, b.first_tile, b.tile_count, warp, lane);
}

}  // namespace tern::decode_product
