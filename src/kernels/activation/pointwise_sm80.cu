// Scaling and soft caps: an element a thread.
#include "kernels/activation/pointwise_gpu.h"
#include "kernels/launch.cuh"
#include "kernels/vector_sm80.cuh"

namespace tern {
namespace {

constexpr int kThreads = 256;

__device__ float apply(const GpuPointwiseArgs& args, float x) {
  x *= args.scale;
  return args.soft_cap == 0 ? x : args.soft_cap * tanhf(x / args.soft_cap);
}

__global__ void __launch_bounds__(kThreads) pointwise_kernel(GpuPointwiseArgs args) {
  launch::after_previous_launch();
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= args.count) return;
  if (args.f32) {
    static_cast<float*>(args.out)[i] = apply(args, static_cast<const float*>(args.in)[i]);
  } else {
    const float x = gpu::to_float(static_cast<const uint16_t*>(args.in)[i]);
    static_cast<uint16_t*>(args.out)[i] = gpu::to_bf16(apply(args, x));
  }
}

int run(const GpuPointwiseArgs& args, void* stream) {
  const dim3 grid(static_cast<unsigned>((args.count + kThreads - 1) / kThreads));
  return launch::run(pointwise_kernel, grid, dim3(kThreads), args.overlap, stream, args);
}

}  // namespace

const GpuImpl<GpuPointwiseArgs> kGpuPointwiseSm80 = {"sm80", run};

}  // namespace tern
