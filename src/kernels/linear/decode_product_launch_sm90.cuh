// The launch of a decode product: how a shape is cut into blocks and phases. Host code for CUDA files.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>

#include "kernels/linear/decode_product_sm90.cuh"

namespace tern::decode_product {

template <class R, int N>
__global__ void __launch_bounds__(R::kThreads, 1) decode_product_kernel(const __grid_constant__ Params p) {
  extern __shared__ __align__(1024) uint8_t shared[];
  run_block<R, N>(p, static_cast<int>(blockIdx.x), shared);
}

constexpr int kMaxSharedBytes = 227 * 1024;  // of one block, on compute capability 9.0
// More than half of it keeps blocks of one launch apart: 132 of them would not lie on 132 multiprocessors otherwise,
// since they are dealt in turn to groups of 16 and of 18.
constexpr int kMinSharedBytes = kMaxSharedBytes / 2 + 1024;

inline int divide_up(int64_t a, int64_t b) { return static_cast<int>((a + b - 1) / b); }

inline int multiprocessors() {
  static const int count = [] {
    int device = 0, value = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, device);
    return std::max(value, 1);
  }();
  return count;
}

// Boxes of 16 rows x 128 bytes of row-major weights.
template <class R>
cudaError_t encode_map(const DecodeProductArgs& args, CUtensorMap* map) {
  static const auto encode = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found;
    cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found);
    return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(function);
  }();
  if (encode == nullptr) return cudaErrorNotSupported;
  constexpr int kElementBytes = R::kFp8 ? 1 : 2;
  const cuuint64_t sizes[2] = {static_cast<cuuint64_t>(args.desc.cols), static_cast<cuuint64_t>(args.desc.rows)};
  const cuuint64_t pitch[1] = {sizes[0] * kElementBytes};
  const cuuint32_t box[2] = {128 / kElementBytes, kTileRows}, steps[2] = {1, 1};
  const CUresult result =
      encode(map, R::kFp8 ? CU_TENSOR_MAP_DATA_TYPE_UINT8 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2,
             const_cast<void*>(args.weights), sizes, pitch, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
             CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return result == CUDA_SUCCESS ? cudaSuccess : cudaErrorInvalidValue;
}

// Tiles that are finished together: of gate and up; of the two halves of a head.
inline int pair_distance(const DecodeProductArgs& args) {
  if (args.output == DecodeOutput::kGlu) return static_cast<int>(args.desc.rows / 2 / kTileRows);
  const bool halves = args.output == DecodeOutput::kRopeKv && args.rope.style == RopeStyle::kHalves;
  return halves ? args.rope.head_dim / 2 / kTileRows : 0;
}

template <class R>
bool can_end_so(const DecodeProductArgs& args) {
  if (args.norm.squares != nullptr && args.desc.cols % kTileRows != 0) return false;
  const GpuRopeKvArgs& rope = args.rope;
  switch (args.output) {
    case DecodeOutput::kPlain:
      return true;
    case DecodeOutput::kResidual:
      return decode_residual_fits(args.desc.rows);
    case DecodeOutput::kGlu:
      return decode_glu_fits(args.desc.rows) && R::kWeight != DecodeWeight::kFp8Block;
    case DecodeOutput::kRopeKv:
      return rope.q_norm == nullptr && rope.k_norm == nullptr &&
             decode_rope_fits(rope.head_dim, rope.rope_dims, rope.style, rope.kv) &&
             args.desc.rows == int64_t{rope.heads + 2 * rope.kv_heads} * rope.head_dim &&
             R::kWeight != DecodeWeight::kFp8Block;
  }
  return false;
}

// `phase_groups` depends on the shape alone: it decides the order of sums.
template <class R, int N>
Params params_of(const DecodeProductArgs& args, int phase_groups, int* shared_bytes) {
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
  p.bias = args.bias;
  p.norm = args.norm;
  p.output = args.output;
  p.residual = args.residual;
  p.activation = args.activation;
  p.rope = args.rope;
  p.pair_distance = pair_distance(args);
  p.units = p.pair_distance > 0 ? p.tiles / 2 : p.tiles;
  p.blocks = std::min(p.units, multiprocessors());
  const int tiles_per_block = divide_up(p.units, p.blocks) * (p.pair_distance > 0 ? 2 : 1);
  p.phase_groups = std::min(phase_groups, p.groups);
  p.phases = divide_up(p.groups, p.phase_groups);
  p.x_pitch = p.phase_groups * kGroupCols * 2 + 16;
  int scale_bytes = 0;
  if (R::kWeight == DecodeWeight::kFp8Channel) scale_bytes = tiles_per_block * kTileRows * 4;
  if (R::kWeight == DecodeWeight::kFp8Block) scale_bytes = (tiles_per_block / 8 + 2) * p.groups * 4;
  if (R::kWeight == DecodeWeight::kW4) scale_bytes = tiles_per_block * p.groups * static_cast<int>(w4::kScaleBytes);
  const int x_bytes = std::min(2, p.phases) * p.tokens * p.x_pitch;
  const int slot_bytes = (tiles_per_block + R::kWarps) * N * kSlotBytes;
  const int barrier_bytes = (R::kWarps * R::kMaxStages + 4) * 8 + 8;
  const int factor_bytes = N * kMatrixTokens * 4;
  const int left = kMaxSharedBytes - x_bytes - slot_bytes - scale_bytes - factor_bytes - barrier_bytes;
  p.stages = std::min(R::kMaxStages, left / R::kStageBytes);
  p.slots_offset = p.stages * R::kStageBytes;  // behind the ring, aligned to 16 as what follows
  p.scales_offset = p.slots_offset + slot_bytes;
  p.x_offset = divide_up(p.scales_offset + scale_bytes, 16) * 16;
  p.factors_offset = p.x_offset + x_bytes;
  p.barriers_offset = p.factors_offset + factor_bytes;
  *shared_bytes = std::max(p.barriers_offset + barrier_bytes, kMinSharedBytes);
  return p;
}

template <class R, int N>
int launch(const DecodeProductArgs& args, int phase_groups, cudaStream_t stream) {
  if (!can_end_so<R>(args)) return cudaErrorInvalidValue;
  int shared_bytes = 0;
  Params p = params_of<R, N>(args, phase_groups, &shared_bytes);
  if (p.stages < 1) return cudaErrorInvalidConfiguration;
  cudaError_t error = R::kPacked ? cudaSuccess : encode_map<R>(args, &p.map);
  if (error != cudaSuccess) return error;
  // A property of the function, which survives; more than the most would be refused, less costs nothing.
  error =
      cudaFuncSetAttribute(decode_product_kernel<R, N>, cudaFuncAttributeMaxDynamicSharedMemorySize, kMaxSharedBytes);
  if (error != cudaSuccess) return error;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(p.blocks);
  config.blockDim = dim3(R::kThreads);
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  cudaLaunchAttribute overlap = {};
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &overlap;
  config.numAttrs = args.overlap ? 1 : 0;
  return cudaLaunchKernelEx(&config, decode_product_kernel<R, N>, p);
}

}  // namespace tern::decode_product
