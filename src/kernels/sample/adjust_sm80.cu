// A thread block a chunk of columns: its biases by their ids, which are distinct, then the penalties of all columns.
#include "kernels/launch.cuh"
#include "kernels/sample/adjust_gpu.h"
#include "kernels/sample/draw_gpu.h"

namespace tern {
namespace {

constexpr int kThreads = 256;

// Rounded one by one, whatever the compiler would join.
struct DeviceFloat {
  static __device__ float sum(float a, float b) { return __fadd_rn(a, b); }
  static __device__ float difference(float a, float b) { return __fsub_rn(a, b); }
  static __device__ float product(float a, float b) { return __fmul_rn(a, b); }
  static __device__ float quotient(float a, float b) { return __fdiv_rn(a, b); }
};

__global__ void __launch_bounds__(kThreads) adjust_kernel(GpuAdjustArgs args) {
  launch::after_previous_launch();
  __shared__ float chunk[kGpuDrawChunk];
  const int64_t row = blockIdx.y, begin = int64_t{blockIdx.x} * kGpuDrawChunk;
  const GpuAdjust adjust = args.adjusts[row];
  if (!is_adjusted(adjust)) return;
  const int64_t left = args.vocabulary - begin;
  const int columns = static_cast<int>(left < kGpuDrawChunk ? left : kGpuDrawChunk);
  const float* logits = args.logits + row * args.vocabulary + begin;
  float* out = args.adjusted + row * args.vocabulary + begin;
  const int thread = static_cast<int>(threadIdx.x);
  for (int i = thread; i < columns; i += kThreads) chunk[i] = logits[i];
  __syncthreads();
  for (int i = thread; i < adjust.biases; i += kThreads) {
    const GpuBias bias = args.biases[adjust.first_bias + i];
    const int64_t at = bias.id - begin;
    if (at >= 0 && at < columns) chunk[at] = __fadd_rn(chunk[at], bias.bias);
  }
  __syncthreads();
  if (adjust.slot < 0) {
    for (int i = thread; i < columns; i += kThreads) out[i] = chunk[i];
    return;
  }
  const GpuTokenCount* counts = args.counts + adjust.slot * args.vocabulary + begin;
  for (int i = thread; i < columns; i += kThreads) out[i] = penalized<DeviceFloat>(chunk[i], counts[i], adjust);
}

int run_adjust(const GpuAdjustArgs& args, void* stream) {
  if (args.rows == 0) return cudaSuccess;
  if (args.vocabulary <= 0 || args.vocabulary >= kGpuDrawVocabulary) return cudaErrorInvalidValue;
  const dim3 grid(static_cast<unsigned>(gpu_draw_chunks(args.vocabulary)), static_cast<unsigned>(args.rows));
  return launch::run(adjust_kernel, grid, dim3(kThreads), args.overlap, stream, args);
}

}  // namespace

const GpuImpl<GpuAdjustArgs> kGpuAdjustSm80 = {"sm80", run_adjust};

}  // namespace tern
