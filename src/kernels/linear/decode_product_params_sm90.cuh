// What a launch of a decode product is told, how weights lie in its rings, and which tiles a block has. Device code,
// but for what the launch fills in.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "kernels/linear/decode_product.h"
#include "kernels/linear/w4_block32.h"

namespace tern::decode_product {

constexpr int kTileRows = static_cast<int>(kDecodeTileRows);
constexpr int kGroupCols = 128;
constexpr int kMatrixTokens = 8;  // columns of the matrix instruction
constexpr int kSlotBytes = kTileRows * kMatrixTokens * 4;
constexpr int kBoxBytes = kTileRows * 128;  // a tensor copy: 16 rows of 128 bytes, their 16-byte pieces swizzled

// Byte offsets are into dynamic shared memory.
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
  // 0, or tiles are finished in pairs: tiles i and i + d of each row of 2 d, d = pair_distance.
  int pair_distance;
  int units;   // tiles or pairs
  int blocks;  // block b has units [units b / blocks, units (b + 1) / blocks)
  int phase_groups, phases;
  int x_pitch;  // bytes between tokens in shared memory
  int stages;   // of a warp's ring
  int x_offset, slots_offset, scales_offset, factors_offset, barriers_offset;
  // What is done with the sums.
  const float* bias;
  DecodeNorm norm;
  DecodeOutput output;
  DecodeResidual residual;
  Activation activation;
  GpuRopeKvArgs rope;
};

// The tiles of a block: consecutive ones; or of consecutive pairs the first ones, then the second ones.
struct Tiles {
  int first, units;
  int pair_distance;

  __device__ Tiles(const Params& p, int block) : pair_distance(p.pair_distance) {
    first = p.units * block / p.blocks;
    units = p.units * (block + 1) / p.blocks - first;
  }
  __device__ int count() const { return pair_distance > 0 ? 2 * units : units; }
  // Of the matrix.
  __device__ int at(int tile) const {
    if (pair_distance == 0) return first + tile;
    const int second = tile >= units, pair = first + tile - second * units;
    return pair + (pair / pair_distance + second) * pair_distance;
  }
};

// How a weight lies in a warp's ring: a stage is a unit of up to UnitGroups groups of one tile. As many stages as fit,
// up to MaxStages.
template <DecodeWeight W, int UnitGroups, int MaxStages, int Warps>
struct Ring {
  static constexpr DecodeWeight kWeight = W;
  static constexpr int kUnitGroups = UnitGroups, kMaxStages = MaxStages, kWarps = Warps;  // warps that multiply
  static constexpr int kThreads = (Warps + 1) * 32;
  static constexpr bool kOffset = W == DecodeWeight::kW4Block32Offset;
  static constexpr bool kBlock32 = W == DecodeWeight::kW4Block32 || kOffset;  // scales lie behind the codes of a group
  static constexpr bool kPacked = W == DecodeWeight::kW4 || kBlock32;
  static constexpr bool kFp8 = W == DecodeWeight::kFp8Channel || W == DecodeWeight::kFp8Block;
  static constexpr int kPackedBytes = static_cast<int>(kBlock32 ? w4::block32_stride(kOffset) : w4::kCodeBytes);
  static constexpr int kGroupBytes = kPacked ? kPackedBytes : kFp8 ? kBoxBytes : 2 * kBoxBytes;
  static constexpr int kUnitBytes = UnitGroups * kGroupBytes;
  static constexpr int kStageBytes = Warps * kUnitBytes;  // of all warps
};

}  // namespace tern::decode_product
