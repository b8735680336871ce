// RMS norm: a thread block a row, which stays in registers between the sum of squares and the product.
#include "kernels/launch.cuh"
#include "kernels/norm/norm_gpu.h"
#include "kernels/vector_sm80.cuh"

namespace tern {
namespace {

using gpu::kVector;

constexpr int kMaxThreads = 1024;

// Over a thread block, in every thread.
__device__ float block_sum(float value) {
  __shared__ float partial[kMaxThreads / 32];
  value = gpu::warp_sum(value);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
  __syncthreads();
  float sum = 0;
  for (unsigned i = 0; i < blockDim.x / 32; ++i) sum += partial[i];
  return sum;
}

// Pieces: vectors a thread holds.
template <int Pieces>
__device__ void norm_row(const GpuNormArgs& args, int64_t row) {
  const float* in = args.in == nullptr ? nullptr : args.in + row * args.cols;
  const auto* delta = args.delta == nullptr ? nullptr : static_cast<const uint16_t*>(args.delta) + row * args.cols;
  float values[Pieces][kVector];
  float squares = 0;
#pragma unroll
  for (int p = 0; p < Pieces; ++p) {
    const int64_t c = (static_cast<int64_t>(p) * blockDim.x + threadIdx.x) * kVector;
    if (c >= args.cols) continue;
    if (in == nullptr) {
      gpu::load(delta + c, values[p]);
    } else {
      gpu::load(in + c, values[p]);
    }
    if (in != nullptr && delta != nullptr) {
      float more[kVector];
      gpu::load(delta + c, more);
#pragma unroll
      for (int i = 0; i < kVector; ++i) values[p][i] += more[i];
      gpu::store(args.sum + row * args.cols + c, values[p]);
    }
#pragma unroll
    for (int i = 0; i < kVector; ++i) squares = fmaf(values[p][i], values[p][i], squares);
  }
  const float scale = rsqrtf(block_sum(squares) / static_cast<float>(args.cols) + args.eps);
#pragma unroll
  for (int p = 0; p < Pieces; ++p) {
    const int64_t c = (static_cast<int64_t>(p) * blockDim.x + threadIdx.x) * kVector;
    if (c >= args.cols) continue;
    float weight[kVector];
    gpu::load(args.weight + c, weight);
#pragma unroll
    for (int i = 0; i < kVector; ++i) values[p][i] *= scale * weight[i];
    gpu::store(static_cast<uint16_t*>(args.out) + row * args.cols + c, values[p]);
  }
}

template <int Pieces>
__global__ void __launch_bounds__(kMaxThreads) norm_kernel(GpuNormArgs args) {
  launch::after_previous_launch();
  norm_row<Pieces>(args, blockIdx.x);
}

int run(const GpuNormArgs& args, void* stream) {
  if (args.cols % kVector != 0 || args.cols > kGpuNormMaxCols) return cudaErrorInvalidValue;
  const dim3 grid(static_cast<unsigned>(args.tokens));
  const int64_t vectors = args.cols / kVector, pieces = vectors <= kMaxThreads ? 1 : 2;
  const dim3 block(static_cast<unsigned>((vectors / pieces + vectors % pieces + 31) / 32 * 32));
  return pieces == 1 ? launch::run(norm_kernel<1>, grid, block, args.overlap, stream, args)
                     : launch::run(norm_kernel<2>, grid, block, args.overlap, stream, args);
}

}  // namespace

const GpuImpl<GpuNormArgs> kGpuNormSm80 = {"sm80", run};

}  // namespace tern
