// The body of the decode products (decode_product.h) as a device function of one thread block.
//
// Work. A cluster of `split` blocks owns a range of 16-row tiles; each of its blocks takes a part of the columns, so
// that a block's share of x is small enough to stay in shared memory. A block's (tile, group of 128 columns) pairs, in
// that order, are cut into one contiguous run a warp. Every warp is on its own from there: it fetches its run through a
// ring of bulk copies and feeds the matrix unit, whose 8 columns are the tokens. Partial sums of a tile lie in slots of
// shared memory, one a (tile, warp) pair that meets; at the end each block of the cluster adds a share of the tiles
// over all slots of all blocks, in ascending order, whatever the number of tokens.
//
// Overlap. The ring is filled before waiting for the previous launch, and the next launch is let in when the last copy
// of this one is on its way: the memory never waits for a launch to end.
#pragma once

#include <cstdint>

#include "kernels/linear/decode_product.h"
#include "kernels/linear/w4_tiles.h"
#include "kernels/ptx_sm90.cuh"

namespace tern::decode_product {

constexpr int kTileRows = 16;
constexpr int kGroupCols = 128;
constexpr int kMatrixTokens = 8;  // columns of the matrix instruction
constexpr int kSlotBytes = kTileRows * kMatrixTokens * 4;

// What a launch is told. Byte offsets are into dynamic shared memory.
struct Params {
  const uint8_t* weights;
  const float* scales;
  const uint8_t* x;
  int64_t x_stride_bytes;
  uint16_t* y;
  int64_t y_stride;
  int rows, cols, tokens;
  int tiles, groups;      // of the whole matrix
  int tiles_per_cluster;  // the last cluster may have fewer
  int split;              // blocks of a cluster
  int x_pitch;            // bytes between tokens in shared memory
  int x_offset, slots_offset, scales_offset, barriers_offset;
  int scale_cols;  // of kFp8Block
};

// How a weight lies in a warp's ring. kUnitGroups groups of 128 columns of one tile are one stage.
template <DecodeWeight W, int UnitGroups, int Stages, int Warps>
struct Ring {
  static constexpr DecodeWeight kWeight = W;
  static constexpr int kUnitGroups = UnitGroups, kStages = Stages, kWarps = Warps;
  static constexpr bool kFp8 = W == DecodeWeight::kFp8Channel || W == DecodeWeight::kFp8Block;
  static constexpr int kElementBytes = W == DecodeWeight::kBf16 ? 2 : 1;  // of row-major weights
  // Rows start 16 (bf16, read by ldmatrix) or 64 bytes (fp8, read by lanes of 16 bytes) off a multiple of 128: no two
  // lanes that are served together then meet in a bank.
  static constexpr int kRowPitch = UnitGroups * kGroupCols * kElementBytes + (W == DecodeWeight::kBf16 ? 16 : 64);
  static constexpr int kUnitBytes =
      W == DecodeWeight::kW4 ? UnitGroups * static_cast<int>(w4::kBlockBytes) : kTileRows * kRowPitch;
  static constexpr int kBytes = Warps * Stages * kUnitBytes;
};

// The columns (in groups of 128) of block `rank` of a cluster.
__device__ inline int first_group(const Params& p, int rank) { return p.groups * rank / p.split; }

// A warp's run of (tile, group) pairs within its block, walked in units.
struct Cursor {
  int at, end, groups, unit_groups;

  __device__ bool done() const { return at >= end; }
  __device__ int tile() const { return at / groups; }
  __device__ int group() const { return at % groups; }
  // Groups of the unit at hand: no unit crosses a tile.
  __device__ int size() const { return min(min(unit_groups, groups - group()), end - at); }
};

// Row-major weights: lane r copies row r of the tile. Packed ones: one copy.
template <class R>
__device__ inline void fetch_unit(const Params& p, const Cursor& cursor, int first_tile, int group_begin,
                                  uint32_t stage, uint32_t barrier, uint64_t policy, int lane) {
  const int tile = first_tile + cursor.tile();
  const int group = group_begin + cursor.group();
  const int size = cursor.size();
  if constexpr (R::kWeight == DecodeWeight::kW4) {
    if (lane == 0) {
      const uint32_t bytes = size * static_cast<int>(w4::kBlockBytes);
      ptx::barrier_expect(barrier, bytes);
      const int64_t block = static_cast<int64_t>(tile) * p.groups + group;
      ptx::bulk_copy(stage, p.weights + block * w4::kBlockBytes, bytes, barrier, policy);
    }
  } else {
    const int rows = min(kTileRows, p.rows - tile * kTileRows);
    const int cols = min(size * kGroupCols, p.cols - group * kGroupCols);
    const uint32_t bytes = cols * R::kElementBytes;
    if (lane == 0) ptx::barrier_expect(barrier, rows * bytes);
    __syncwarp();
    if (lane < rows) {
      const int64_t element = static_cast<int64_t>(tile * kTileRows + lane) * p.cols + group * kGroupCols;
      ptx::bulk_copy(stage + lane * R::kRowPitch, p.weights + element * R::kElementBytes, bytes, barrier, policy);
    }
  }
}

// Two neighbouring codes of a word as bf16 code - 8: 128 + code has the code in its lowest bits.
__device__ inline uint32_t w4_pair(uint32_t word, int pair) {
  const uint32_t biased = (word >> (4 * pair) & 0x000f000fu) | 0x43004300u;
  return ptx::subtract_bf16x2(biased, 0x43084308u);
}

// Two e4m3 numbers in the high bytes of the halves as bf16: the fields move to their places, the exponent's bias (7
// instead of 127) is a factor of 2^120, exact also for subnormal numbers.
__device__ inline uint32_t fp8_pair(uint32_t word, bool upper) {
  const uint32_t spread = __byte_perm(word, 0, upper ? 0x3424 : 0x1404);
  const uint32_t placed = (spread & 0x80008000u) | (spread >> 4 & 0x07f007f0u);
  return ptx::multiply_bf16x2(placed, 0x7b807b80u);
}

// One group of 128 columns: sums[n] += tile x columns of tokens 8 n .. 8 n + 7. `x_group` is the first token's first
// column in shared memory.
template <class R, int N>
__device__ inline void multiply_group(const Params& p, uint32_t stage, int group_in_unit, int cols, uint32_t x_group,
                                      float (&sums)[N][4], int lane) {
  float chain[N][2][4] = {};  // two chains of matrix instructions: one would wait for itself
  if constexpr (R::kWeight == DecodeWeight::kFp8Channel || R::kWeight == DecodeWeight::kFp8Block) {
    const uint32_t row = stage + (lane / 4) * R::kRowPitch + group_in_unit * kGroupCols + lane % 4 * 16;
#pragma unroll
    for (int step = 0; step < 2; ++step) {
      if (step * 64 >= cols) break;
      const uint4 low = ptx::load_shared_16(row + step * 64);
      const uint4 high = ptx::load_shared_16(row + 8 * R::kRowPitch + step * 64);
      const uint32_t low_words[4] = {low.x, low.y, low.z, low.w}, high_words[4] = {high.x, high.y, high.z, high.w};
      uint4 x[N][2];
#pragma unroll
      for (int n = 0; n < N; ++n) {
        const int token = min(lane / 4 + n * kMatrixTokens, p.tokens - 1);
        const uint32_t from = x_group + token * p.x_pitch + step * 128 + lane % 4 * 32;
        x[n][0] = ptx::load_shared_16(from);
        x[n][1] = ptx::load_shared_16(from + 16);
      }
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const uint32_t a0 = fp8_pair(low_words[j], false), a1 = fp8_pair(high_words[j], false);
        const uint32_t a2 = fp8_pair(low_words[j], true), a3 = fp8_pair(high_words[j], true);
#pragma unroll
        for (int n = 0; n < N; ++n) {
          const uint4 v = x[n][j / 2];
          ptx::multiply_bf16(chain[n][j % 2], a0, a1, a2, a3, j % 2 ? v.z : v.x, j % 2 ? v.w : v.y);
        }
      }
    }
  } else {
    // ldmatrix: lanes 0..7 address columns 0..7 of the tokens, 8..15 columns 8..15, and so on.
    uint32_t x_row[N];
#pragma unroll
    for (int n = 0; n < N; ++n) {
      x_row[n] = x_group + min(lane % 8 + n * kMatrixTokens, p.tokens - 1) * p.x_pitch + lane / 8 * 16;
    }
    const uint32_t codes = stage + group_in_unit * static_cast<int>(w4::kBlockBytes) + lane * 16;
    const uint32_t row =
        stage + (lane % 16) * R::kRowPitch + group_in_unit * kGroupCols * 2 + lane / 16 * 16;  // bf16: a 16 x 16 tile
    uint4 words = {};
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      if (step * 32 >= cols) break;
      uint4 a[2];
      if constexpr (R::kWeight == DecodeWeight::kW4) {
        if (step % 2 == 0) words = ptx::load_shared_16(codes + step / 2 * 512);
        const uint32_t low = step % 2 ? words.z : words.x, high = step % 2 ? words.w : words.y;
        a[0] = {w4_pair(low, 0), w4_pair(high, 0), w4_pair(low, 1), w4_pair(high, 1)};
        a[1] = {w4_pair(low, 2), w4_pair(high, 2), w4_pair(low, 3), w4_pair(high, 3)};
      } else {
        a[0] = ptx::load_matrices(row + step * 64);
        a[1] = ptx::load_matrices(row + step * 64 + 32);
      }
#pragma unroll
      for (int n = 0; n < N; ++n) {
        const uint4 x = ptx::load_matrices(x_row[n] + step * 64);
        ptx::multiply_bf16(chain[n][0], a[0].x, a[0].y, a[0].z, a[0].w, x.x, x.y);
        ptx::multiply_bf16(chain[n][1], a[1].x, a[1].y, a[1].z, a[1].w, x.z, x.w);
      }
    }
  }

  float scale_low = 1, scale_high = 1;
  if constexpr (R::kWeight == DecodeWeight::kW4) {
    const uint32_t scales = ptx::load_shared_4(stage + group_in_unit * static_cast<int>(w4::kBlockBytes) +
                                               static_cast<int>(w4::kCodeBytes) + lane / 4 * 4);
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

// The sum of a tile over the slots of all blocks of the cluster, this lane's four elements of tokens 8 n and up.
template <class R, int N>
__device__ inline float4 sum_slots(const Params& p, uint32_t slots, int tile, int tile_count, int n, int lane) {
  float4 sum = {};
  for (int rank = 0; rank < p.split; ++rank) {
    const int groups = first_group(p, rank + 1) - first_group(p, rank);
    if (groups == 0) continue;
    const int units = tile_count * groups;
    // Warp w has units [units w / kWarps, units (w + 1) / kWarps).
    const int first = ((tile * groups + 1) * R::kWarps - 1) / units;
    const int last = ((tile + 1) * groups * R::kWarps - 1) / units;
    uint32_t at = slots + ((tile + first) * N + n) * kSlotBytes + lane * 16;
    if (p.split > 1) at = ptx::remote_address(at, rank);
    for (int warp = first; warp <= last; ++warp, at += N * kSlotBytes) {
      // A warp without work between two that have some wrote no slot.
      if (units * warp / R::kWarps == units * (warp + 1) / R::kWarps) continue;
      const float4 part = ptx::load_remote(at);
      sum.x += part.x;
      sum.y += part.y;
      sum.z += part.z;
      sum.w += part.w;
    }
  }
  return sum;
}

__device__ inline uint16_t bf16_bits(float value) {
  uint16_t bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}

// Block `rank` of cluster `cluster`. `shared` is the start of dynamic shared memory, 128-byte aligned.
template <class R, int N>
__device__ inline void run_block(const Params& p, int cluster, int rank, uint8_t* shared_pointer) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const uint32_t shared = ptx::shared_address(shared_pointer);
  const uint32_t ring = shared + warp * R::kStages * R::kUnitBytes;
  const uint32_t full = shared + p.barriers_offset + warp * R::kStages * 8;
  const uint32_t x_barrier = shared + p.barriers_offset + R::kWarps * R::kStages * 8;
  const int first_tile = cluster * p.tiles_per_cluster;
  const int tile_count = min(p.tiles_per_cluster, p.tiles - first_tile);
  const int group_begin = first_group(p, rank), group_count = first_group(p, rank + 1) - group_begin;
  const int units = tile_count * group_count;

  // 1. The ring, before anything that another launch may still be writing.
  if (lane == 0) {
    for (int stage = 0; stage < R::kStages; ++stage) ptx::barrier_init(full + stage * 8, 1);
    if (warp == 0) ptx::barrier_init(x_barrier, 1);
    ptx::barrier_init_fence();
  }
  __syncwarp();
  const uint64_t policy = ptx::evict_first_policy();
  Cursor fetch = {units * warp / R::kWarps, units * (warp + 1) / R::kWarps, group_count, R::kUnitGroups};
  Cursor work = fetch;
  for (int stage = 0; stage < R::kStages && !fetch.done(); ++stage) {
    fetch_unit<R>(p, fetch, first_tile, group_begin, ring + stage * R::kUnitBytes, full + stage * 8, policy, lane);
    fetch.at += fetch.size();
  }
  if (warp == 0 && fetch.done()) ptx::allow_next_launch();

  // 2. Scales, which no launch writes; then x, which the one before may have written.
  float* scales = reinterpret_cast<float*>(shared_pointer + p.scales_offset);
  if constexpr (R::kWeight == DecodeWeight::kFp8Channel) {
    const int row = first_tile * kTileRows;
    const int rows = min(tile_count * kTileRows, p.rows - row);
    for (int i = static_cast<int>(threadIdx.x); i < rows; i += R::kWarps * 32) scales[i] = p.scales[row + i];
  } else if constexpr (R::kWeight == DecodeWeight::kFp8Block) {
    // [tile, group] of this block: a scale serves 8 tiles.
    for (int i = static_cast<int>(threadIdx.x); i < units; i += R::kWarps * 32) {
      const int tile = first_tile + i / group_count, group = group_begin + i % group_count;
      scales[i] = p.scales[static_cast<int64_t>(tile / 8) * p.scale_cols + group];
    }
  }
  ptx::wait_for_previous_launch();
  const int x_cols = min(group_count * kGroupCols, p.cols - group_begin * kGroupCols);
  const uint32_t x_shared = shared + p.x_offset;
  if (warp == 0 && group_count > 0) {
    if (lane == 0) ptx::barrier_expect(x_barrier, p.tokens * x_cols * 2);
    __syncwarp();
    if (lane < p.tokens) {
      ptx::bulk_copy(x_shared + lane * p.x_pitch, p.x + lane * p.x_stride_bytes + group_begin * kGroupCols * 2,
                     x_cols * 2, x_barrier);
    }
  }
  // Columns behind the last: their weights are zero, x must be a number.
  if (x_cols < group_count * kGroupCols) {
    const int tail = group_count * kGroupCols - x_cols;
    for (int i = static_cast<int>(threadIdx.x); i < p.tokens * tail; i += R::kWarps * 32) {
      const int offset = p.x_offset + i / tail * p.x_pitch + (x_cols + i % tail) * 2;
      *reinterpret_cast<uint16_t*>(shared_pointer + offset) = 0;
    }
  }
  __syncthreads();
  if (group_count > 0) ptx::barrier_wait(x_barrier, 0);

  // 3. The warp's run.
  float sums[N][4] = {};
  int stage = 0;
  uint32_t parity = 0;
  while (!work.done()) {
    ptx::barrier_wait(full + stage * 8, parity);
    const int size = work.size(), tile = work.tile(), group = work.group();
#pragma unroll
    for (int i = 0; i < R::kUnitGroups; ++i) {
      if (i >= size) break;
      const int cols = R::kWeight == DecodeWeight::kW4 ? kGroupCols : x_cols - (group + i) * kGroupCols;
      const uint32_t x_group = x_shared + (group + i) * kGroupCols * 2;
      if constexpr (R::kWeight == DecodeWeight::kFp8Block) {
        float part[N][4] = {};
        multiply_group<R, N>(p, ring + stage * R::kUnitBytes, i, cols, x_group, part, lane);
        const float scale = scales[tile * group_count + group + i];
#pragma unroll
        for (int n = 0; n < N; ++n) {
#pragma unroll
          for (int j = 0; j < 4; ++j) sums[n][j] = __fmaf_rn(scale, part[n][j], sums[n][j]);
        }
      } else {
        multiply_group<R, N>(p, ring + stage * R::kUnitBytes, i, cols, x_group, sums, lane);
      }
    }
    work.at += size;
    __syncwarp();
    if (!fetch.done()) {
      fetch_unit<R>(p, fetch, first_tile, group_begin, ring + stage * R::kUnitBytes, full + stage * 8, policy, lane);
      fetch.at += fetch.size();
      if (warp == 0 && fetch.done()) ptx::allow_next_launch();
    }
    if (++stage == R::kStages) {
      stage = 0;
      parity ^= 1;
    }
    if (work.done() || work.tile() != tile) {
#pragma unroll
      for (int n = 0; n < N; ++n) {
        const int slot = ((tile + warp) * N + n) * kSlotBytes + lane * 16;
        *reinterpret_cast<float4*>(shared_pointer + p.slots_offset + slot) = {sums[n][0], sums[n][1], sums[n][2],
                                                                              sums[n][3]};
#pragma unroll
        for (int i = 0; i < 4; ++i) sums[n][i] = 0;
      }
    }
  }

  // 4. Each block adds its share of the tiles.
  if (p.split > 1) {
    ptx::cluster_barrier();
  } else {
    __syncthreads();
  }
  const int share_begin = tile_count * rank / p.split, share_end = tile_count * (rank + 1) / p.split;
  for (int i = warp; i < (share_end - share_begin) * N; i += R::kWarps) {
    const int tile = share_begin + i / N, n = i % N;
    const float4 sum = sum_slots<R, N>(p, shared + p.slots_offset, tile, tile_count, n, lane);
    const float values[4] = {sum.x, sum.y, sum.z, sum.w};
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int row_in_tile = lane / 4 + j / 2 * 8;
      const int row = (first_tile + tile) * kTileRows + row_in_tile;
      const int token = n * kMatrixTokens + lane % 4 * 2 + j % 2;
      if (row >= p.rows || token >= p.tokens) continue;
      float value = values[j];
      if constexpr (R::kWeight == DecodeWeight::kFp8Channel) value *= scales[tile * kTileRows + row_in_tile];
      p.y[token * p.y_stride + row] = bf16_bits(value);
    }
  }
  // No block may leave while another still reads its slots.
  if (p.split > 1) ptx::cluster_barrier();
}

}  // namespace tern::decode_product
