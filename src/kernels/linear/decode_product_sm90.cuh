// The body of the decode products (decode_product.h) as a device function of one thread block.
//
// Work. A block owns a few 16-row tiles and goes through the columns in phases, of which x fits twice into shared
// memory. A phase's (tile, group of 128 columns) pairs, in that order, are cut into one contiguous run a warp. Every
// warp is on its own: it fetches its runs through a ring of bulk copies and feeds the matrix unit, whose 8 columns are
// the tokens; one more warp fetches x. Partial sums lie in slots of shared memory, one a (tile, warp) pair that meets,
// to which each phase adds; at the end the slots of a tile are added in ascending order. Nothing of this depends on the
// number of tokens.
//
// Overlap. The next launch is let in at once and takes a multiprocessor as soon as this one's block leaves it. It fills
// its ring before waiting for the rest of this one: the memory need not wait for a launch to end.
#pragma once

#include <cstdint>

#include "kernels/fp8_sm90.cuh"
#include "kernels/linear/decode_product_params_sm90.cuh"
#include "kernels/linear/decode_product_tail_sm90.cuh"
#include "kernels/ptx_sm90.cuh"

namespace tern::decode_product {

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
__device__ inline void fetch_unit(const Params& p, const Cursor<R>& cursor, const Tiles& tiles, uint32_t stage,
                                  uint32_t barrier, uint64_t policy) {
  const int tile = tiles.at(cursor.tile), group = cursor.column_group(p), size = cursor.size(p);
  ptx::barrier_expect(barrier, size * R::kGroupBytes);
  if constexpr (R::kPacked) {
    const int64_t block = static_cast<int64_t>(tile) * p.groups + group;
    ptx::bulk_copy(stage, p.weights + block * R::kGroupBytes, size * R::kGroupBytes, barrier, policy);
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
  // Every lane arrives, for what it stored; the first one also announces the copies.
  if (lane == 0) {
    ptx::barrier_expect(barrier, p.tokens * cols * 2);
  } else {
    ptx::barrier_arrive(barrier);
  }
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

// Where a lane reads: fixed for the launch.
template <class R, int N>
struct Lane {
  uint32_t weights;  // offset in a group
  uint32_t swizzle;  // of row-major weights: which 16-byte piece of 8 in a row
  uint32_t scales;   // offset in a group of those of the lane's rows, where they lie there
  uint32_t x[N];     // offset of the lane's token, tokens behind the last read the last one

  __device__ Lane(const Params& p, int lane) {
    const int row = R::kFp8 ? lane / 4 : lane % 16;
    const int piece = R::kFp8 ? lane % 4 : lane / 16;
    weights = R::kPacked ? lane * 16 : row * 128;
    scales = static_cast<uint32_t>(w4::kCodeBytes) + lane / 4 * 4;
    swizzle = (piece ^ (row & 7)) << 4;
#pragma unroll
    for (int n = 0; n < N; ++n) {
      const int token = min((R::kFp8 ? lane / 4 : lane % 8) + n * kMatrixTokens, p.tokens - 1);
      x[n] = token * p.x_pitch + (R::kFp8 ? lane % 4 * 32 : lane / 8 * 16);
    }
  }
};

// sums += scale * chain, which begins anew.
template <int N>
__device__ inline void add_chains(float (&chain)[N][2][4], float scale_low, float scale_high, float (&sums)[N][4]) {
#pragma unroll
  for (int n = 0; n < N; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float sum = chain[n][0][i] + chain[n][1][i];
      sums[n][i] = __fmaf_rn(i < 2 ? scale_low : scale_high, sum, sums[n][i]);
      chain[n][0][i] = chain[n][1][i] = 0;
    }
  }
}

// sums += offset * the sum of x over 32 columns, which the matrix unit makes too: the product with ones.
__device__ inline void add_offsets(const uint4& x, float low, float high, float (&sums)[4]) {
  constexpr uint32_t kOnes = 0x3f803f80u;
  float total[4] = {};
  ptx::multiply_bf16(total, kOnes, kOnes, kOnes, kOnes, x.x, x.y);
  ptx::multiply_bf16(total, kOnes, kOnes, kOnes, kOnes, x.z, x.w);
#pragma unroll
  for (int i = 0; i < 4; ++i) sums[i] = __fmaf_rn(i < 2 ? low : high, total[i], sums[i]);
}

// sums[n] += a tile's group of 128 columns x tokens 8 n .. 8 n + 7. `group` and `x` are shared addresses of the group.
template <class R, int N>
__device__ inline void multiply_group(const Lane<R, N>& at, uint32_t group, uint32_t x, float scale_low,
                                      float scale_high, float (&sums)[N][4]) {
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
        const uint32_t a0 = fp8::pair<0, 1>(low_words[j]), a1 = fp8::pair<0, 1>(high_words[j]);
        const uint32_t a2 = fp8::pair<2, 3>(low_words[j]), a3 = fp8::pair<2, 3>(high_words[j]);
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
      uint4 b[N];
#pragma unroll
      for (int n = 0; n < N; ++n) {
        b[n] = ptx::load_matrices(x + at.x[n] + step * 64);
        ptx::multiply_bf16(chain[n][0], a[0].x, a[0].y, a[0].z, a[0].w, b[n].x, b[n].y);
        ptx::multiply_bf16(chain[n][1], a[1].x, a[1].y, a[1].z, a[1].w, b[n].z, b[n].w);
      }
      if constexpr (R::kBlock32) {
        const uint32_t halves = ptx::load_shared_4(group + at.scales + step * static_cast<int>(w4::kScaleBytes));
        ptx::halves_to_floats(halves, scale_low, scale_high);
        add_chains<N>(chain, scale_low, scale_high, sums);
      }
      if constexpr (R::kOffset) {
        const uint32_t at_step = static_cast<uint32_t>((w4::kSteps + step) * w4::kScaleBytes);
        float offset_low, offset_high;
        ptx::halves_to_floats(ptx::load_shared_4(group + at.scales + at_step), offset_low, offset_high);
#pragma unroll
        for (int n = 0; n < N; ++n) add_offsets(b[n], offset_low, offset_high, sums[n]);
      }
    }
  }
  if constexpr (!R::kBlock32) add_chains<N>(chain, scale_low, scale_high, sums);
}

// Starts to copy the scales that a block needs into shared memory: fp8, one a row or one for 8 tiles and a group;
// 4-bit, as packed. By the threads of the warps that multiply.
template <class R>
__device__ inline void load_scales(const Params& p, uint32_t scales, const Tiles& tiles) {
  constexpr int kThreads = R::kWarps * 32;
  const int thread = static_cast<int>(threadIdx.x);
  if constexpr (R::kWeight == DecodeWeight::kFp8Channel) {
    for (int i = thread; i < tiles.count() * kTileRows; i += kThreads) {
      const int row = tiles.at(i / kTileRows) * kTileRows + i % kTileRows;
      if (row < p.rows) ptx::copy_4(scales + i * 4, p.scales + row);
    }
  } else if constexpr (R::kWeight == DecodeWeight::kFp8Block) {
    const int begin = tiles.first / 8 * p.groups, end = ((tiles.first + tiles.count() - 1) / 8 + 1) * p.groups;
    for (int i = begin + thread; i < end; i += kThreads) ptx::copy_4(scales + (i - begin) * 4, p.scales + i);
  } else if constexpr (R::kWeight == DecodeWeight::kW4) {
    const int tile_bytes = p.groups * static_cast<int>(w4::kScaleBytes);
    const uint8_t* from = p.weights + static_cast<int64_t>(p.tiles) * p.groups * w4::kCodeBytes;
    for (int i = thread * 16; i < tiles.count() * tile_bytes; i += kThreads * 16) {
      const int tile = i / tile_bytes;
      ptx::copy_16(scales + i, from + static_cast<int64_t>(tiles.at(tile)) * tile_bytes + i % tile_bytes);
    }
  }
}

// What the warps of a block share.
struct Block {
  uint32_t ring, full;       // shared addresses: of warp w's stage s at (w * stages + s) units or 8 bytes
  uint32_t x, x_bytes;       // two parts of x
  uint32_t x_full, x_empty;  // 2 barriers each
  Tiles tiles;
};

template <class R>
__device__ inline Block block_of(const Params& p, int block, uint32_t shared) {
  Block b = {.tiles = Tiles(p, block)};
  b.ring = shared;
  b.full = shared + p.barriers_offset;
  b.x_full = b.full + R::kWarps * p.stages * 8;
  b.x_empty = b.x_full + 16;
  b.x = shared + p.x_offset;
  b.x_bytes = p.tokens * p.x_pitch;
  return b;
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

// What fetches a warp's run: its ring is its own, so that a stage is free when the warp has read it.
template <class R>
struct Fetch {
  uint32_t ring, full;
  Tiles tiles;
  uint64_t policy;
  Cursor<R> cursor;

  __device__ void next(const Params& p, int stage, int lane) {
    if (cursor.done(p)) return;
    if (lane == 0) fetch_unit<R>(p, cursor, tiles, ring + stage * R::kUnitBytes, full + stage * 8, policy);
    cursor.advance(p, cursor.size(p));
  }
};

// A warp that multiplies: `fetch` has filled its ring.
template <class R, int N>
__device__ inline void multiply_run(const Params& p, const Block& b, Fetch<R>& fetch, Cursor<R> work, uint8_t* slots,
                                    const uint8_t* scales, int warp, int lane) {
  const Lane<R, N> at(p, lane);
  float sums[N][4] = {};
  int stage = 0;
  uint32_t parity = 0;
  for (int phase = 0; phase < p.phases; ++phase) {
    const int buffer = phase % 2;
    const uint32_t x = b.x + buffer * b.x_bytes;
    ptx::barrier_wait(b.x_full + buffer * 8, phase / 2 & 1);
    while (work.phase == phase) {
      const int size = work.size(p), tile = work.tile, group = work.column_group(p);
      const uint32_t unit = fetch.ring + stage * R::kUnitBytes, unit_x = x + work.group * kGroupCols * 2;
      const auto multiply = [&](int i) {
        float low = 1, high = 1;
        if constexpr (R::kWeight == DecodeWeight::kW4) {
          const auto* halves = reinterpret_cast<const uint32_t*>(scales) + (tile * p.groups + group + i) * 8 + lane / 4;
          ptx::halves_to_floats(*halves, low, high);
        } else if constexpr (R::kWeight == DecodeWeight::kFp8Block) {
          const int row = (b.tiles.first + tile) / 8 - b.tiles.first / 8;
          low = high = reinterpret_cast<const float*>(scales)[row * p.groups + group + i];
        }
        multiply_group<R, N>(at, unit + i * R::kGroupBytes, unit_x + i * kGroupCols * 2, low, high, sums);
      };
      ptx::barrier_wait(fetch.full + stage * 8, parity);
      if (size == R::kUnitGroups) {
#pragma unroll
        for (int i = 0; i < R::kUnitGroups; ++i) multiply(i);
      } else {
        for (int i = 0; i < size; ++i) multiply(i);
      }
      __syncwarp();
      fetch.next(p, stage, lane);
      if (++stage == p.stages) stage = 0, parity ^= 1;
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
    ptx::barrier_arrive(b.x_empty + buffer * 8);
  }
}

// Block `block`. `shared` is the start of dynamic shared memory, 1024-byte aligned.
template <class R, int N>
__device__ inline void run_block(const Params& p, int block, uint8_t* shared) {
  constexpr int kReady = 1;  // the barrier behind which x's barriers and the scales may be used
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const Block b = block_of<R>(p, block, ptx::shared_address(shared));
  uint8_t* scales = shared + p.scales_offset;
  uint8_t* slots = shared + p.slots_offset;
  auto* factors = reinterpret_cast<float*>(shared + p.factors_offset);

  ptx::allow_next_launch();
  if (warp == R::kWarps) {
    if (lane < 2) {
      ptx::barrier_init(b.x_full + lane * 8, 32);
      ptx::barrier_init(b.x_empty + lane * 8, R::kWarps * 32);
    }
    ptx::barrier_init_fence();
    ptx::arrive(kReady, R::kThreads);
    ptx::wait_for_previous_launch();  // which may have written x
    fill_x<R>(p, b, lane);
    norm_factors(p, factors, lane);
  } else {
    const Cursor<R> begin(p, b.tiles.count(), warp);
    Fetch<R> fetch = {b.ring + warp * p.stages * R::kUnitBytes, b.full + warp * p.stages * 8, b.tiles,
                      ptx::evict_first_policy(), begin};
    load_scales<R>(p, ptx::shared_address(scales), b.tiles);
    if (lane < p.stages) ptx::barrier_init(fetch.full + lane * 8, 1);
    ptx::barrier_init_fence();
    __syncwarp();
    for (int stage = 0; stage < p.stages; ++stage) fetch.next(p, stage, lane);
    ptx::wait_for_copies();
    ptx::sync(kReady, R::kThreads);
    multiply_run<R, N>(p, b, fetch, begin, slots, scales, warp, lane);
    ptx::wait_for_previous_launch();  // which may still read y, and has written what it joins
  }
  __syncthreads();
  write_sums<R, N>(p, {slots, scales, factors, b.tiles, warp, lane});
}

}  // namespace tern::decode_product
