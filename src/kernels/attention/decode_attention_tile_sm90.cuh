// One chunk of keys and values in shared memory on the matrix unit: scores, and the weighted sum of values.
//
// The rows (query token, head) are the 8 columns of the matrix instruction, so that one head costs no more than eight.
// Scores: 16 keys x 16 dimensions times 16 dimensions x 8 rows, a warp its own keys. Output: 16 dimensions x 16 keys
// times 16 keys x 8 rows, a warp its own 16 dimensions and all keys: the weights cross between warps, the sums do not.
#pragma once

#include <cstdint>

#include "kernels/attention/decode_attention.h"
#include "kernels/fp8_sm90.cuh"
#include "kernels/ptx_sm90.cuh"

namespace tern::decode_attention {

template <DecodeKv Kv, int HeadDim, int Tiles, int Blocks>
struct Shape {
  static constexpr DecodeKv kKv = Kv;
  static constexpr bool kFp8 = Kv == DecodeKv::kFp8;
  static constexpr int kDim = HeadDim;
  static constexpr int kTiles = Tiles;  // of 8 rows
  static constexpr int kRows = 8 * Tiles;
  static constexpr int kBlocks = Blocks;       // of a multiprocessor
  static constexpr int kWarps = HeadDim / 16;  // that compute; one more fetches
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kKeyTiles = kDecodeChunk / 16 / kWarps;  // of a warp
  static constexpr int kSteps = HeadDim / 16;                   // of the matrix unit over a key
  static constexpr int kKeyBytes = HeadDim * (kFp8 ? 1 : 2);
  static constexpr int kCodeBytes = kDecodeChunk * kKeyBytes;  // keys or values of a chunk
  // Behind keys their scales and those of their values.
  static constexpr int kStageBytes = kCodeBytes + (kFp8 ? 2 * kDecodeChunk * 4 : 0);
  static constexpr int kHalves = kKeyBytes == 256 ? 2 : 1;   // a key of 256 bytes lies in two lines
  static constexpr int kLineKeys = kKeyBytes == 64 ? 2 : 1;  // two keys of 64 bytes in one
};

// Where the 16-byte piece `piece` of key `key` lies in a stage: lines of 128 bytes whose pieces are swizzled.
template <class S>
__device__ inline uint32_t piece_address(uint32_t stage, int key, int piece) {
  if constexpr (S::kLineKeys == 2) {
    const int line = key / 2;
    return stage + line * 128 + (((key % 2 * 4 + piece) ^ (line & 7)) << 4);
  } else {
    return stage + piece / 8 * (kDecodeChunk * 128) + key * 128 + ((piece % 8 ^ (key & 7)) << 4);
  }
}

// The rows as the matrix unit's right operand: lane 4 g + t has row g of each tile.
template <class S>
struct Queries {
  uint32_t words[S::kTiles][S::kSteps][2];
};

// Row r of the unit is row first_row + r of the sequence; those behind the last are zero.
template <class S>
__device__ inline void load_queries(Queries<S>& queries, const uint16_t* q, int64_t stride, int group, int first_row,
                                    int rows, int lane) {
#pragma unroll
  for (int n = 0; n < S::kTiles; ++n) {
    const int row = n * 8 + lane / 4, at = first_row + row;
    const uint16_t* from = q + at / group * stride + at % group * S::kDim;
#pragma unroll
    for (int step = 0; step < S::kSteps; ++step) {
      uint2 words = {};
      if (row < rows) {
        // Four fp8 keys of a lane are neighbours, of bf16 ones two and two.
        if constexpr (S::kFp8) {
          words = *reinterpret_cast<const uint2*>(from + step * 16 + lane % 4 * 4);
        } else {
          words.x = *reinterpret_cast<const uint32_t*>(from + step * 16 + lane % 4 * 2);
          words.y = *reinterpret_cast<const uint32_t*>(from + step * 16 + lane % 4 * 2 + 8);
        }
      }
      queries.words[n][step][0] = words.x;
      queries.words[n][step][1] = words.y;
    }
  }
}

// scores[n] = keys key0 .. key0 + 15 times rows 8 n .. 8 n + 7: of lane 4 g + t keys g and g + 8, rows 2t and 2t + 1,
// in the order (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1). `scale`: of the lane's two keys.
template <class S>
__device__ inline void multiply_keys(uint32_t stage, int key0, const Queries<S>& queries, const float (&scale)[2],
                                     int lane, float (&scores)[S::kTiles][4]) {
  float chain[S::kTiles][2][4] = {};  // two chains of matrix instructions: one would wait for itself
  const int key = key0 + lane % 16, piece = lane / 16;
#pragma unroll
  for (int i = 0; i < S::kKeyBytes / 32; ++i) {
    const uint4 a = ptx::load_matrices(piece_address<S>(stage, key, 2 * i + piece));
    if constexpr (S::kFp8) {
      const uint32_t low[4] = {fp8::pair<0, 1>(a.x), fp8::pair<0, 1>(a.y), fp8::pair<2, 3>(a.x), fp8::pair<2, 3>(a.y)};
      const uint32_t high[4] = {fp8::pair<0, 1>(a.z), fp8::pair<0, 1>(a.w), fp8::pair<2, 3>(a.z), fp8::pair<2, 3>(a.w)};
#pragma unroll
      for (int n = 0; n < S::kTiles; ++n) {
        const auto& b = queries.words[n];
        ptx::multiply_bf16(chain[n][0], low[0], low[1], low[2], low[3], b[2 * i][0], b[2 * i][1]);
        ptx::multiply_bf16(chain[n][1], high[0], high[1], high[2], high[3], b[2 * i + 1][0], b[2 * i + 1][1]);
      }
    } else {
#pragma unroll
      for (int n = 0; n < S::kTiles; ++n) {
        ptx::multiply_bf16(chain[n][i % 2], a.x, a.y, a.z, a.w, queries.words[n][i][0], queries.words[n][i][1]);
      }
    }
  }
#pragma unroll
  for (int n = 0; n < S::kTiles; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) scores[n][i] = (chain[n][0][i] + chain[n][1][i]) * scale[i / 2];
  }
}

// The weights of a chunk in shared memory, [row, key] in bf16: 16 bytes more a row keep the banks apart.
constexpr int kWeightPitch = (kDecodeChunk + 8) * 2;

// Which dimensions lane 4 g + t of warp w has: the first, and how far the second is from it.
template <class S>
__device__ inline int first_dim(int warp, int lane) {
  return warp * 16 + lane / 4 * (S::kFp8 ? 2 : 1);
}
template <class S>
constexpr int kDimStep = S::kFp8 ? 1 : 8;

// The 16 dimensions of warp `warp` of the values of keys key0 .. key0 + 31, as two left operands of the matrix unit of
// 16 keys each. What lies before `first` or behind `count` is not read.
template <class S>
__device__ inline void load_values(uint32_t stage, int key0, int first, int count, int warp, int lane,
                                   uint32_t (&a)[2][4]) {
  if constexpr (S::kFp8) {
    // A transposed 16-bit element is two neighbouring dimensions of a key. All bytes are numbers, what is not wanted
    // too.
    const uint4 v = ptx::load_matrices_transposed(piece_address<S>(stage, key0 + lane, warp));
    const uint32_t words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      a[j / 2][j % 2 * 2] = fp8::pair<0, 2>(words[j]);
      a[j / 2][j % 2 * 2 + 1] = fp8::pair<1, 3>(words[j]);
    }
  } else {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      uint4 v = {};
      if (key0 + j * 16 < count && key0 + j * 16 + 16 > first) {
        const int key = key0 + j * 16 + lane / 16 * 8 + lane % 8;
        v = ptx::load_matrices_transposed(piece_address<S>(stage, key, 2 * warp + lane / 8 % 2));
      }
      a[j][0] = v.x, a[j][1] = v.y, a[j][2] = v.z, a[j][3] = v.w;
    }
  }
}

// sums[n] = the warp's 16 dimensions of values of keys first .. count - 1, weighted for rows 8 n .. 8 n + 7: of lane 4
// g + t (first dimension, row 2t), (first, 2t + 1), (second, 2t), (second, 2t + 1).
template <class S>
__device__ inline void multiply_values(uint32_t stage, uint32_t weights, int first, int count, int warp, int lane,
                                       float (&sums)[S::kTiles][4]) {
  float chain[S::kTiles][2][4] = {};
  const uint32_t row = weights + lane % 8 * kWeightPitch + lane / 8 * 16;
#pragma unroll
  for (int i = 0; i < kDecodeChunk / 32; ++i) {
    if (i * 32 >= count) break;
    if (i * 32 + 32 <= first) continue;
    uint32_t a[2][4];
    load_values<S>(stage, i * 32, first, count, warp, lane, a);
#pragma unroll
    for (int n = 0; n < S::kTiles; ++n) {
      const uint4 b = ptx::load_matrices(row + n * 8 * kWeightPitch + i * 64);
      ptx::multiply_bf16(chain[n][0], a[0][0], a[0][1], a[0][2], a[0][3], b.x, b.y);
      ptx::multiply_bf16(chain[n][1], a[1][0], a[1][1], a[1][2], a[1][3], b.z, b.w);
    }
  }
#pragma unroll
  for (int n = 0; n < S::kTiles; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[n][i] = chain[n][0][i] + chain[n][1][i];
  }
}

// Slots of a block behind the context's end may hold what is not a number, which a weight of zero does not silence: the
// warp's dimensions of the keys from `count` to the next 16 become zero.
template <class S>
__device__ inline void clear_values(uint32_t stage, int count, int warp, int lane) {
  const int key = count + lane / 2;
  if (key < (count + 15) / 16 * 16) ptx::store_shared_16(piece_address<S>(stage, key, 2 * warp + lane % 2), uint4{});
  ptx::copy_engine_fence();
  __syncwarp();
}

}  // namespace tern::decode_attention
