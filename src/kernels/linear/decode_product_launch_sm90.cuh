// The launch of a decode product: how a shape is cut into clusters and blocks. Host code for CUDA files.
#pragma once

#include <cuda_runtime.h>

#include "kernels/linear/decode_product_sm90.cuh"

namespace tern::decode_product {

template <class R, int N>
__global__ void __launch_bounds__(R::kWarps * 32, 2) decode_product_kernel(const __grid_constant__ Params p) {
  extern __shared__ __align__(128) uint8_t shared[];
  const int block = static_cast<int>(blockIdx.x);
  run_block<R, N>(p, block / p.split, block % p.split, shared);
}

constexpr int kMaxSharedBytes = 227 * 1024;  // of one block, on compute capability 9.0

// Blocks that are resident at once, one a multiprocessor: 132 in the H100's groups of 16 and 18, of which clusters of 4
// and 8 fill 128.
constexpr int kBlocks = 132, kClusteredBlocks = 128;
// A block's part of the columns: x of 8 tokens then takes 32 KiB.
constexpr int kColsPerBlock = 2048;

inline int split_of(int64_t cols) {
  int split = 1;
  while (split < 8 && cols > split * kColsPerBlock) split *= 2;
  return split;
}

inline int divide_up(int64_t a, int64_t b) { return static_cast<int>((a + b - 1) / b); }

template <class R>
Params params_of(const DecodeProductArgs& args, int n, int split, int* shared_bytes) {
  Params p = {};
  p.weights = static_cast<const uint8_t*>(args.weights);
  p.scales = args.scales;
  p.x = static_cast<const uint8_t*>(args.x);
  p.x_stride_bytes = args.x_stride * 2;
  p.y = static_cast<uint16_t*>(args.y);
  p.y_stride = args.y_stride;
  p.rows = static_cast<int>(args.desc.rows);
  p.cols = static_cast<int>(args.desc.cols);
  p.tokens = static_cast<int>(args.tokens);
  p.tiles = divide_up(p.rows, kTileRows);
  p.groups = divide_up(p.cols, kGroupCols);
  p.split = split;
  p.tiles_per_cluster = divide_up(p.tiles, (split > 2 ? kClusteredBlocks : kBlocks) / split);
  p.scale_cols = p.groups;
  const int groups = divide_up(p.groups, split);
  p.x_pitch = groups * kGroupCols * 2 + 16;
  p.x_offset = R::kBytes;
  p.slots_offset = p.x_offset + p.tokens * p.x_pitch;
  p.scales_offset = p.slots_offset + (p.tiles_per_cluster + R::kWarps) * n * kSlotBytes;
  int scales = 0;
  if (R::kWeight == DecodeWeight::kFp8Channel) scales = p.tiles_per_cluster * kTileRows;
  if (R::kWeight == DecodeWeight::kFp8Block) scales = p.tiles_per_cluster * groups;
  p.barriers_offset = divide_up(p.scales_offset + scales * 4, 8) * 8;
  *shared_bytes = p.barriers_offset + (R::kWarps * R::kStages + 1) * 8;
  return p;
}

template <class R, int N>
int launch(const DecodeProductArgs& args, int split, cudaStream_t stream) {
  int shared_bytes = 0;
  const Params p = params_of<R>(args, N, split, &shared_bytes);
  // A property of the function, which survives; more than the most would be refused, less costs nothing.
  const cudaError_t error =
      cudaFuncSetAttribute(decode_product_kernel<R, N>, cudaFuncAttributeMaxDynamicSharedMemorySize, kMaxSharedBytes);
  if (error != cudaSuccess) return error;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(divide_up(p.tiles, p.tiles_per_cluster) * p.split);
  config.blockDim = dim3(R::kWarps * 32);
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  cudaLaunchAttribute attributes[2];
  attributes[0].id = cudaLaunchAttributeClusterDimension;
  attributes[0].val.clusterDim.x = p.split;
  attributes[0].val.clusterDim.y = 1;
  attributes[0].val.clusterDim.z = 1;
  attributes[1].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[1].val.programmaticStreamSerializationAllowed = 1;
  config.attrs = attributes;
  config.numAttrs = args.overlap ? 2 : 1;
  return cudaLaunchKernelEx(&config, decode_product_kernel<R, N>, p);
}

}  // namespace tern::decode_product
