// Products of many tokens with 4-bit weights on Hopper: how a number of tokens is cut into tiles, and the launch.
#include <cuda_runtime.h>

#include <algorithm>

#include "kernels/linear/w4_product_sm90.cuh"

namespace tern {
namespace {

using namespace w4_product;

template <class F>
__global__ void __launch_bounds__(kThreads, 1) w4_product_kernel(const __grid_constant__ Params p) {
  extern __shared__ __align__(1024) uint8_t shared[];
  run_block<F>(p, shared);
}

int divide_up(int64_t a, int64_t b) { return static_cast<int>((a + b - 1) / b); }

int multiprocessors() {
  static const int count = [] {
    int device = 0, value = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, device);
    return std::clamp(value, 1, kMaxBlocks);
  }();
  return count;
}

// Boxes of `box_tokens` rows of 128 bytes, swizzled; zeros outside.
cudaError_t encode_map(const W4ProductArgs& args, int box_tokens, CUtensorMap* map) {
  static const auto encode = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found;
    cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found);
    return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(function);
  }();
  if (encode == nullptr) return cudaErrorNotSupported;
  const cuuint64_t sizes[2] = {static_cast<cuuint64_t>(args.desc.cols), static_cast<cuuint64_t>(args.tokens)};
  const cuuint64_t pitch[1] = {static_cast<cuuint64_t>(args.x_stride) * 2};
  const cuuint32_t box[2] = {kLine / 2, static_cast<cuuint32_t>(box_tokens)}, steps[2] = {1, 1};
  const CUresult result = encode(map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, const_cast<void*>(args.x), sizes, pitch, box,
                                 steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                 CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return result == CUDA_SUCCESS ? cudaSuccess : cudaErrorInvalidValue;
}

// Tiles of a last wave that is nearly full are not cut: what they would gain is less than the meeting of sums costs.
int whole_waves(int tiles, int blocks) {
  const int left = tiles % blocks;
  return tiles / blocks + (left * 8 >= blocks * 7);
}

template <class F>
int launch(const W4ProductArgs& args, cudaStream_t stream) {
  Params p = {};
  cudaError_t error = encode_map(args, F::kTokens, &p.map);
  if (error != cudaSuccess) return error;
  p.weights = static_cast<const uint8_t*>(args.weights);
  p.y = static_cast<uint16_t*>(args.y);
  p.y_stride = args.y_stride;
  p.counters = static_cast<uint32_t*>(args.workspace);
  p.sums = reinterpret_cast<float*>(p.counters + kMaxBlocks);
  p.rows = static_cast<int>(args.desc.rows);
  p.tokens = static_cast<int>(args.tokens);
  p.row_tiles = divide_up(p.rows, w4::kTileRows);
  p.groups = divide_up(args.desc.cols, kGroupCols);
  p.token_tiles = divide_up(p.tokens, F::kTokens);
  p.tiles = divide_up(p.rows, F::kTileRows) * p.token_tiles;
  const int blocks = static_cast<int>(std::min<int64_t>(multiprocessors(), int64_t{p.tiles} * p.groups));
  p.waves = whole_waves(p.tiles, blocks);
  error = cudaFuncSetAttribute(w4_product_kernel<F>, cudaFuncAttributeMaxDynamicSharedMemorySize, F::kBytes);
  if (error != cudaSuccess) return error;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(kThreads);
  config.dynamicSmemBytes = F::kBytes;
  config.stream = stream;
  cudaLaunchAttribute overlap = {};
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &overlap;
  config.numAttrs = args.overlap ? 1 : 0;
  return cudaLaunchKernelEx(&config, w4_product_kernel<F>, p);
}

template <DecodeWeight W>
int run(const W4ProductArgs& args, void* stream) {
  if (args.tokens < 1 || args.tokens > 1 << 20 || args.x_stride % 8 != 0 || args.y_stride % 2 != 0) {
    return cudaErrorInvalidValue;
  }
  const auto cuda_stream = static_cast<cudaStream_t>(stream);
  if (args.tokens <= 16) return launch<Form<W, 16, 2>>(args, cuda_stream);
  if (args.tokens <= 32) return launch<Form<W, 32, 2>>(args, cuda_stream);
  if (args.tokens <= 64) return launch<Form<W, 64, 2>>(args, cuda_stream);
  return launch<Form<W, 128, 2>>(args, cuda_stream);
}

// x is copied in whole 16-byte pieces; indices are int.
template <DecodeWeight W>
bool supports(const DecodeProductDesc& desc) {
  return desc.weight == W && desc.rows > 0 && desc.rows <= 1 << 20 && desc.cols > 0 && desc.cols <= 1 << 16 &&
         desc.cols % 8 == 0;
}

template <DecodeWeight W>
constexpr W4ProductImpl row_of(const char* name) {
  return {name, W, supports<W>, run<W>};
}

constexpr W4ProductImpl kRows[] = {
    row_of<DecodeWeight::kW4Block32>("sm90_w4_product"),
    row_of<DecodeWeight::kW4Block32Offset>("sm90_w4_product_offset"),
};

}  // namespace

const W4ProductImplSpan kW4ProductSm90 = {kRows, 2};

int64_t w4_product_workspace_bytes() { return 4 * (kMaxBlocks + int64_t{2} * multiprocessors() * kMaxTileSums); }

}  // namespace tern
