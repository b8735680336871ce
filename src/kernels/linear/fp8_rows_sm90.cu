// Rows as e4m3: a thread block a row, read twice (the second time from the L1 cache).
#include <cuda_fp8.h>

#include "kernels/launch.cuh"
#include "kernels/linear/fp8_rows_gpu.h"
#include "kernels/vector_sm80.cuh"

namespace tern {
namespace {

using gpu::kVector;

constexpr int kThreads = 256;
constexpr float kLargest = 448;  // of e4m3

// Over a thread block, in every thread.
__device__ float block_max(float value) {
  __shared__ float partial[kThreads / 32];
  value = gpu::warp_max(value);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
  __syncthreads();
  float most = 0;
  for (int i = 0; i < kThreads / 32; ++i) most = fmaxf(most, partial[i]);
  return most;
}

__device__ uint32_t four(float a, float b, float c, float d) {
  const uint32_t low = __nv_cvt_float2_to_fp8x2(make_float2(a, b), __NV_SATFINITE, __NV_E4M3);
  const uint32_t high = __nv_cvt_float2_to_fp8x2(make_float2(c, d), __NV_SATFINITE, __NV_E4M3);
  return low | high << 16;
}

__global__ void __launch_bounds__(kThreads) fp8_rows_kernel(GpuFp8RowsArgs args) {
  launch::after_previous_launch();
  const int64_t row = blockIdx.x;
  const auto* in = static_cast<const uint16_t*>(args.in) + row * args.cols;
  auto* out = static_cast<uint8_t*>(args.out) + row * args.cols;
  float most = 0;
  for (int64_t c = threadIdx.x * kVector; c < args.cols; c += kThreads * kVector) {
    float values[kVector];
    gpu::load(in + c, values);
#pragma unroll
    for (int i = 0; i < kVector; ++i) most = fmaxf(most, fabsf(values[i]));
  }
  most = block_max(most);
  const float scale = most > 0 ? most / kLargest : 1.0f;
  for (int64_t c = threadIdx.x * kVector; c < args.cols; c += kThreads * kVector) {
    float v[kVector];
    gpu::load(in + c, v);
#pragma unroll
    for (int i = 0; i < kVector; ++i) v[i] = __fdiv_rn(v[i], scale);
    *reinterpret_cast<uint2*>(out + c) = make_uint2(four(v[0], v[1], v[2], v[3]), four(v[4], v[5], v[6], v[7]));
  }
  if (threadIdx.x == 0) args.scales[row] = scale;
}

int run(const GpuFp8RowsArgs& args, void* stream) {
  if (args.cols % kVector != 0) return cudaErrorInvalidValue;
  return launch::run(fp8_rows_kernel, dim3(static_cast<unsigned>(args.rows)), dim3(kThreads), args.overlap, stream,
                     args);
}

}  // namespace

const GpuImpl<GpuFp8RowsArgs> kGpuFp8RowsSm90 = {"fp8_rows", run};

}  // namespace tern
