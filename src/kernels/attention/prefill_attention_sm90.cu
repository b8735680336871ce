// Prefill attention on Hopper: the rows of the table, one a head size, and their launch.
#include <cuda_runtime.h>

#include <algorithm>
#include <numbers>

#include "kernels/attention/prefill_attention_plan.h"
#include "kernels/attention/prefill_attention_sm90.cuh"

namespace tern {
namespace {

using prefill_attention::kLine;
using prefill_attention::Params;
using prefill_attention::Shape;

template <class S>
__global__ void __launch_bounds__(S::kThreads, 1) prefill_attention_kernel(const __grid_constant__ Params p) {
  extern __shared__ __align__(1024) uint8_t shared[];
  prefill_attention::run_block<S>(p, shared);
}

// Boxes of a line and `rows` rows, swizzled. `strides` in bytes, of all dimensions but the first.
template <int Rank>
cudaError_t encode_map(const void* data, const cuuint64_t (&sizes)[Rank], const cuuint64_t (&strides)[Rank - 1],
                       int rows, CUtensorMap* map) {
  static const auto encode = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found;
    cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found);
    return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(function);
  }();
  if (encode == nullptr) return cudaErrorNotSupported;
  cuuint32_t box[Rank], steps[Rank];
  for (int i = 0; i < Rank; ++i) box[i] = 1, steps[i] = 1;
  box[0] = kLine / 2;
  box[1] = static_cast<cuuint32_t>(rows);
  const CUresult result = encode(map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, Rank, const_cast<void*>(data), sizes, strides,
                                 box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                 CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return result == CUDA_SUCCESS ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t encode_maps(const PrefillAttentionArgs& args, Params* p) {
  const PrefillAttentionDesc& desc = args.desc;
  const auto size = [](int64_t n) { return static_cast<cuuint64_t>(n); };
  const cuuint64_t dim = size(desc.head_dim), row = 2 * dim, head = row * size(desc.block_tokens);
  cudaError_t error = encode_map<2>(args.q, {dim * size(desc.heads), size(args.tokens)}, {2 * size(args.q_stride)},
                                    kPrefillStrip, &p->queries);
  if (desc.kv == DecodeKv::kFp8) return error;
  const cuuint64_t sizes[4] = {dim, size(desc.block_tokens), size(desc.kv_heads), size(args.kv.blocks)};
  const cuuint64_t strides[3] = {row, head, size(args.kv.block_bytes)};
  const auto* pool = static_cast<const std::byte*>(args.kv.pool);
  if (error == cudaSuccess) error = encode_map<4>(pool + args.kv.k_offset, sizes, strides, kPrefillPage, &p->keys);
  if (error == cudaSuccess) error = encode_map<4>(pool + args.kv.v_offset, sizes, strides, kPrefillPage, &p->values);
  return error;
}

bool supports_any(const PrefillAttentionDesc& desc) {
  return desc.kv_heads > 0 && desc.heads >= desc.kv_heads && desc.heads % desc.kv_heads == 0 &&
         desc.block_tokens >= kPrefillPage && desc.block_tokens % kPrefillPage == 0 && desc.window >= 0 &&
         desc.scale > 0 && desc.soft_cap >= 0;
}

template <class S>
bool supports(const PrefillAttentionDesc& desc) {
  return desc.head_dim == S::kDim && desc.kv == S::kKv && supports_any(desc);
}

bool aligned(const PrefillAttentionArgs& args) {
  const auto whole = [](const void* pointer, int64_t unit) { return reinterpret_cast<uintptr_t>(pointer) % unit == 0; };
  const DecodeKvView& kv = args.kv;
  return whole(args.q, 16) && args.q_stride % 8 == 0 && whole(args.out, 16) && args.out_stride % 8 == 0 &&
         whole(kv.pool, 256) && kv.block_bytes % 256 == 0 && kv.k_offset % 256 == 0 && kv.v_offset % 256 == 0 &&
         kv.k_scale_offset % 4 == 0 && kv.v_scale_offset % 4 == 0;
}

template <class S>
int launch(const PrefillAttentionArgs& args, void* stream) {
  Params p = {};
  cudaError_t error = encode_maps(args, &p);
  if (error != cudaSuccess) return error;
  p.out = static_cast<uint16_t*>(args.out);
  p.block_tables = args.block_tables;
  p.units = args.units;
  p.out_stride = args.out_stride;
  p.table_stride = args.table_stride;
  p.group = args.desc.heads / args.desc.kv_heads;
  p.block_pages = args.desc.block_tokens / kPrefillPage;
  p.window = args.desc.window;
  p.scale = (args.desc.soft_cap > 0 ? args.desc.soft_cap : args.desc.scale) * std::numbers::log2e_v<float>;
  p.cap_scale = args.desc.soft_cap > 0 ? args.desc.scale / args.desc.soft_cap : 0;
  p.sinks = args.sinks;
  p.pool = static_cast<const uint8_t*>(args.kv.pool);
  p.block_bytes = args.kv.block_bytes;
  p.offsets[0] = args.kv.k_offset, p.offsets[1] = args.kv.v_offset;
  p.scale_offsets[0] = args.kv.k_scale_offset, p.scale_offsets[1] = args.kv.v_scale_offset;
  p.block_tokens = args.desc.block_tokens;
  error = cudaFuncSetAttribute(prefill_attention_kernel<S>, cudaFuncAttributeMaxDynamicSharedMemorySize, S::kBytes);
  if (error != cudaSuccess) return error;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(args.thread_blocks));
  config.blockDim = dim3(S::kThreads);
  config.dynamicSmemBytes = S::kBytes;
  config.stream = static_cast<cudaStream_t>(stream);
  return cudaLaunchKernelEx(&config, prefill_attention_kernel<S>, p);
}

template <class S>
int run(const PrefillAttentionArgs& args, void* stream) {
  if (!supports<S>(args.desc) || !aligned(args) || args.tokens <= 0 || args.kv.blocks <= 0 || args.thread_blocks <= 0) {
    return cudaErrorInvalidValue;
  }
  return args.desc.soft_cap > 0 ? launch<typename S::WithCap>(args, stream) : launch<S>(args, stream);
}

int32_t thread_blocks() {
  static const int32_t multiprocessors = [] {
    int device = 0, value = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, device);
    return std::max(value, 1);
  }();
  return multiprocessors;
}

Cost cost(const PrefillAttentionDesc& desc, const BatchShape& batch) {
  const double row = desc.head_dim, heads = desc.heads;
  double keys = 0;
  for (int32_t i = 0; i < batch.sequence_count; ++i) {
    const SequenceSlice& sequence = batch.sequences[i];
    const int32_t before = desc.window > 0 ? std::min(sequence.history_len, desc.window - 1) : sequence.history_len;
    keys += before + sequence.query_len;
  }
  const double row_bytes = desc.kv == DecodeKv::kFp8 ? row + 4 : 2 * row;
  Cost cost = {2 * keys * desc.kv_heads * row_bytes + 4 * static_cast<double>(batch.tokens) * heads * row,
               4 * prefill_attention_pairs(desc, batch) * heads * row};
  cost.arithmetic = Arithmetic::kBf16;
  return cost;
}

template <class S>
constexpr PrefillAttentionImpl row_of(const char* name) {
  return {name, S::kConsumers, supports<S>, thread_blocks, run<S>, cost};
}

constexpr PrefillAttentionImpl kRows[] = {
    row_of<Shape<DecodeKv::kBf16, 128, 2, 2>>("sm90_bf16_128"),
    row_of<Shape<DecodeKv::kBf16, 64, 3, 4>>("sm90_bf16_64"),
    row_of<Shape<DecodeKv::kFp8, 128, 2, 2>>("sm90_fp8_128"),
    row_of<Shape<DecodeKv::kFp8, 64, 3, 4>>("sm90_fp8_64"),
};

}  // namespace

const PrefillAttentionImplSpan kPrefillAttentionSm90 = {kRows, 4};

}  // namespace tern
