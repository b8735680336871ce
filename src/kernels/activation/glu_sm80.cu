// The gated activation: eight columns a thread.
#include "kernels/activation/activate.cuh"
#include "kernels/activation/glu_gpu.h"
#include "kernels/launch.cuh"
#include "kernels/vector_sm80.cuh"

namespace tern {
namespace {

using gpu::kVector;

constexpr int kThreads = 256;

template <Activation A>
__global__ void __launch_bounds__(kThreads) glu_kernel(GpuGluArgs args) {
  launch::after_previous_launch();
  const int64_t c = (static_cast<int64_t>(blockIdx.y) * kThreads + threadIdx.x) * kVector, token = blockIdx.x;
  if (c >= args.cols) return;
  const auto* gate = static_cast<const uint16_t*>(args.gate_up) + token * 2 * args.cols + c;
  float gates[kVector], ups[kVector];
  gpu::load(gate, gates);
  gpu::load(gate + args.cols, ups);
#pragma unroll
  for (int i = 0; i < kVector; ++i) gates[i] = gpu::activate<A>(gates[i]) * ups[i];
  gpu::store(static_cast<uint16_t*>(args.out) + token * args.cols + c, gates);
}

int run(const GpuGluArgs& args, void* stream) {
  if (args.cols % kVector != 0) return cudaErrorInvalidValue;
  const dim3 grid(static_cast<unsigned>(args.tokens),
                  static_cast<unsigned>((args.cols / kVector + kThreads - 1) / kThreads));
  const auto with = [&](auto kernel) { return launch::run(kernel, grid, dim3(kThreads), args.overlap, stream, args); };
  switch (args.activation) {
    case Activation::kSilu:
      return with(glu_kernel<Activation::kSilu>);
    case Activation::kGelu:
      return with(glu_kernel<Activation::kGelu>);
    case Activation::kGeluTanh:
      return with(glu_kernel<Activation::kGeluTanh>);
    case Activation::kClampedSwiglu:
      break;
  }
  return cudaErrorInvalidValue;
}

}  // namespace

const GpuImpl<GpuGluArgs> kGpuGluSm80 = {"sm80", run};

}  // namespace tern
