// Bias: a column a thread.
#include "kernels/launch.cuh"
#include "kernels/linear/bias_gpu.h"
#include "kernels/vector_sm80.cuh"

namespace tern {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) bias_kernel(GpuBiasArgs args) {
  launch::after_previous_launch();
  const int64_t c = static_cast<int64_t>(blockIdx.y) * kThreads + threadIdx.x;
  if (c >= args.cols) return;
  uint16_t& y = static_cast<uint16_t*>(args.y)[blockIdx.x * args.cols + c];
  y = gpu::to_bf16(gpu::to_float(y) + args.bias[c]);
}

int run(const GpuBiasArgs& args, void* stream) {
  const dim3 grid(static_cast<unsigned>(args.tokens), static_cast<unsigned>((args.cols + kThreads - 1) / kThreads));
  return launch::run(bias_kernel, grid, dim3(kThreads), args.overlap, stream, args);
}

}  // namespace

const GpuImpl<GpuBiasArgs> kGpuBiasSm80 = {"sm80", run};

}  // namespace tern
