// e4m3 weights in blocks as bf16: a thread 8 columns of a row.
#include <cuda_fp8.h>

#include "kernels/launch.cuh"
#include "kernels/linear/fp8_unpack_gpu.h"
#include "kernels/vector_sm80.cuh"

namespace tern {
namespace {

constexpr int kThreads = 256, kColumns = 8;
constexpr int64_t kEdge = 128;

__global__ void __launch_bounds__(kThreads) fp8_unpack_kernel(GpuFp8UnpackArgs args) {
  launch::after_previous_launch();
  const int64_t at = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kColumns;
  if (at >= args.rows * args.cols) return;
  const int64_t row = at / args.cols, col = at % args.cols;
  const float scale = args.scales[row / kEdge * ((args.cols + kEdge - 1) / kEdge) + col / kEdge];
  const uint2 codes = *reinterpret_cast<const uint2*>(static_cast<const uint8_t*>(args.weights) + at);
  const uint32_t words[2] = {codes.x, codes.y};
  uint32_t pairs[kColumns / 2];
#pragma unroll
  for (int i = 0; i < kColumns / 2; ++i) {
    const auto two = static_cast<__nv_fp8x2_storage_t>(words[i / 2] >> (i % 2 * 16));
    const float2 values = __half22float2(__half2(__nv_cvt_fp8x2_to_halfraw2(two, __NV_E4M3)));
    pairs[i] = gpu::pair_of(values.x * scale, values.y * scale);
  }
  *reinterpret_cast<uint4*>(static_cast<uint16_t*>(args.out) + at) = make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
}

int run(const GpuFp8UnpackArgs& args, void* stream) {
  if (args.cols % kColumns != 0) return cudaErrorInvalidValue;
  const int64_t threads = args.rows * args.cols / kColumns;
  return launch::run(fp8_unpack_kernel, dim3(static_cast<unsigned>((threads + kThreads - 1) / kThreads)),
                     dim3(kThreads), args.overlap, stream, args);
}

}  // namespace

const GpuImpl<GpuFp8UnpackArgs> kGpuFp8UnpackSm90 = {"fp8_unpack", run};

}  // namespace tern
