// Decode attention on Hopper: the rows of the table, one a KV format and head size, and their launch.
#include <cuda_runtime.h>

#include <algorithm>
#include <numbers>

#include "kernels/attention/decode_attention_sm90.cuh"

namespace tern {
namespace {

using decode_attention::Layout;
using decode_attention::Params;
using decode_attention::Shape;

template <class S>
__global__ void __launch_bounds__(S::kThreads + 32, S::kBlocks)
    decode_attention_kernel(const __grid_constant__ Params p) {
  extern __shared__ __align__(1024) uint8_t shared[];
  decode_attention::run_block<S>(p, shared);
}

// Heads of 64 dimensions take four warps, which leave a multiprocessor half idle. Two blocks of eight leave too few
// registers: measured, slower.
template <DecodeKv Kv, int HeadDim, int Tiles>
using ShapeOf = Shape<Kv, HeadDim, Tiles, HeadDim == 64 ? 2 : 1>;

// More than half, or a third, of the shared memory keeps more blocks of a launch off one multiprocessor than it shall
// have.
template <class S>
constexpr int kSharedBytes = std::max(Layout<S>::kBytes, decode_attention::kMaxSharedBytes / (S::kBlocks + 1) + 1024);

int64_t counter_bytes(int32_t slots) { return (int64_t{slots} * 4 + 255) / 256 * 256; }
int64_t sums_bytes(int32_t rows, int32_t slots) { return int64_t{slots} * rows * 8; }

// The pool as rows of 128 or 256 bytes; a box is one line of 128 bytes of each row, its 16-byte pieces swizzled.
template <class S>
cudaError_t encode_map(const DecodeAttentionArgs& args, int box_rows, CUtensorMap* map) {
  static const auto encode = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found;
    cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found);
    return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(function);
  }();
  if (encode == nullptr) return cudaErrorNotSupported;
  const cuuint64_t row_bytes = S::kHalves * 128;
  const cuuint64_t sizes[2] = {row_bytes, static_cast<cuuint64_t>(args.kv.blocks * args.kv.block_bytes) / row_bytes};
  const cuuint32_t box[2] = {128, static_cast<cuuint32_t>(box_rows)}, steps[2] = {1, 1};
  const CUresult result = encode(map, CU_TENSOR_MAP_DATA_TYPE_UINT8, 2, const_cast<void*>(args.kv.pool), sizes,
                                 &row_bytes, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                 CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return result == CUDA_SUCCESS ? cudaSuccess : cudaErrorInvalidValue;
}

template <class S>
int launch(const DecodeAttentionArgs& args, cudaStream_t stream) {
  constexpr int kRowBytes = S::kHalves * 128;
  Params p = {};
  p.q = static_cast<const uint16_t*>(args.q);
  p.out = static_cast<uint16_t*>(args.out);
  p.scales = static_cast<const uint8_t*>(args.kv.pool) + args.kv.k_scale_offset;
  p.v_scales = args.kv.v_scale_offset - args.kv.k_scale_offset;
  p.sinks = args.sinks;
  p.block_tables = args.block_tables;
  p.units = args.units;
  p.counters = reinterpret_cast<int32_t*>(args.workspace);
  p.sums = reinterpret_cast<float4*>(args.workspace + counter_bytes(args.slots));
  p.outs = reinterpret_cast<float4*>(args.workspace + counter_bytes(args.slots) + sums_bytes(args.rows, args.slots));
  p.q_stride = args.q_stride;
  p.out_stride = args.out_stride;
  p.table_stride = args.table_stride;
  p.group = args.desc.heads / args.desc.kv_heads;
  p.block_tokens = args.desc.block_tokens;
  p.box_tokens = std::min(args.desc.block_tokens, kDecodeChunk);
  p.block_rows = static_cast<int>(args.kv.block_bytes / kRowBytes);
  p.k_row = static_cast<int>(args.kv.k_offset / kRowBytes);
  p.v_row = static_cast<int>(args.kv.v_offset / kRowBytes);
  p.head_rows = args.desc.block_tokens / S::kLineKeys;
  p.block_bytes = args.kv.block_bytes;
  p.window = args.desc.window > 0 ? args.desc.window : 1 << 30;
  p.cap = args.desc.soft_cap * std::numbers::log2e_v<float>;
  p.scale =
      args.desc.soft_cap > 0 ? args.desc.scale / args.desc.soft_cap : args.desc.scale * std::numbers::log2e_v<float>;
  cudaError_t error = encode_map<S>(args, p.box_tokens / S::kLineKeys, &p.map);
  if (error != cudaSuccess) return error;
  constexpr int kBytes = kSharedBytes<S>;
  static_assert((kBytes + 1024) * S::kBlocks <= decode_attention::kMaxSharedBytes + 1024);
  error = cudaFuncSetAttribute(decode_attention_kernel<S>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  if (error != cudaSuccess) return error;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(args.thread_blocks));
  config.blockDim = dim3(S::kThreads + 32);
  config.dynamicSmemBytes = kBytes;
  config.stream = stream;
  cudaLaunchAttribute overlap = {};
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &overlap;
  config.numAttrs = args.overlap ? 1 : 0;
  return cudaLaunchKernelEx(&config, decode_attention_kernel<S>, p);
}

bool supported_blocks(const DecodeAttentionDesc& desc) {
  const int32_t tokens = desc.block_tokens;
  return tokens >= 16 && tokens <= 1024 && (tokens & (tokens - 1)) == 0;
}

template <DecodeKv Kv, int HeadDim>
bool supports(const DecodeAttentionDesc& desc) {
  return desc.kv == Kv && desc.head_dim == HeadDim && desc.kv_heads > 0 && desc.heads % desc.kv_heads == 0 &&
         desc.heads / desc.kv_heads >= 1 && desc.heads / desc.kv_heads <= kDecodeMaxRows && desc.window >= 0 &&
         desc.soft_cap >= 0 && supported_blocks(desc);
}

// Rows of the map have 32-bit numbers, and whole rows.
template <DecodeKv Kv, int HeadDim>
bool fits(const DecodeAttentionArgs& args) {
  const DecodeKvView& kv = args.kv;
  return supports<Kv, HeadDim>(args.desc) && kv.blocks > 0 && kv.block_bytes % 256 == 0 && kv.k_offset % 256 == 0 &&
         kv.v_offset % 256 == 0 && kv.k_scale_offset % 16 == 0 && kv.v_scale_offset % 16 == 0 &&
         kv.blocks * kv.block_bytes / 128 < int64_t{1} << 31 && args.thread_blocks > 0;
}

template <DecodeKv Kv, int HeadDim>
int run(const DecodeAttentionArgs& args, void* stream) {
  if (!fits<Kv, HeadDim>(args)) return cudaErrorInvalidValue;
  const auto cuda_stream = static_cast<cudaStream_t>(stream);
  switch (args.rows) {
    case 8:
      return launch<ShapeOf<Kv, HeadDim, 1>>(args, cuda_stream);
    case 16:
      return launch<ShapeOf<Kv, HeadDim, 2>>(args, cuda_stream);
    case 32:
      return launch<ShapeOf<Kv, HeadDim, 4>>(args, cuda_stream);
    default:
      return cudaErrorInvalidValue;
  }
}

template <DecodeKv Kv, int HeadDim>
int32_t thread_blocks(int32_t rows) {
  static const int32_t multiprocessors = [] {
    int device = 0, value = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, device);
    return std::max(value, 1);
  }();
  const int32_t each = rows <= 8    ? ShapeOf<Kv, HeadDim, 1>::kBlocks
                       : rows <= 16 ? ShapeOf<Kv, HeadDim, 2>::kBlocks
                                    : ShapeOf<Kv, HeadDim, 4>::kBlocks;
  return each * multiprocessors;
}

uint64_t workspace_bytes(const DecodeAttentionDesc& desc, int32_t rows, int32_t slots) {
  return static_cast<uint64_t>(counter_bytes(slots) + sums_bytes(rows, slots) +
                               int64_t{slots} * rows * desc.head_dim * 4);
}

Cost cost(const DecodeAttentionDesc& desc, int64_t tokens, int64_t keys) {
  const double row = desc.head_dim, heads = desc.heads;
  const double row_bytes = desc.kv == DecodeKv::kFp8 ? row + 4 : 2 * row;
  return {2 * static_cast<double>(keys) * desc.kv_heads * row_bytes + 4 * static_cast<double>(tokens) * heads * row,
          4 * static_cast<double>(keys) * heads * row};
}

template <DecodeKv Kv, int HeadDim>
constexpr DecodeAttentionImpl row_of(const char* name) {
  return {name, supports<Kv, HeadDim>, thread_blocks<Kv, HeadDim>, workspace_bytes, run<Kv, HeadDim>, cost};
}

constexpr DecodeAttentionImpl kRows[] = {
    row_of<DecodeKv::kBf16, 128>("sm90_bf16_128"),
    row_of<DecodeKv::kBf16, 64>("sm90_bf16_64"),
    row_of<DecodeKv::kFp8, 128>("sm90_fp8_128"),
    row_of<DecodeKv::kFp8, 64>("sm90_fp8_64"),
};

}  // namespace

const DecodeAttentionImplSpan kDecodeAttentionSm90 = {kRows, 4};

}  // namespace tern
