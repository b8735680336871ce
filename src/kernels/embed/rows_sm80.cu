// Rows by number: a thread block a row.
#include "kernels/embed/rows_gpu.h"
#include "kernels/launch.cuh"
#include "kernels/vector_sm80.cuh"

namespace tern {
namespace {

constexpr int kThreads = 256;

__device__ void embed_row(const uint16_t* from, float* to, int64_t cols, float scale) {
  if (cols % gpu::kVector != 0) {
    for (int64_t c = threadIdx.x; c < cols; c += kThreads) to[c] = scale * gpu::to_float(from[c]);
    return;
  }
  for (int64_t c = static_cast<int64_t>(threadIdx.x) * gpu::kVector; c < cols; c += kThreads * gpu::kVector) {
    float values[gpu::kVector];
    gpu::load(from + c, values);
#pragma unroll
    for (int i = 0; i < gpu::kVector; ++i) values[i] *= scale;
    gpu::store(to + c, values);
  }
}

__global__ void __launch_bounds__(kThreads) embed_kernel(GpuEmbedArgs args) {
  launch::after_previous_launch();
  const int64_t token = blockIdx.x;
  int64_t id = args.ids[token];
  if (id < 0) id = max(args.drawn[-1 - id], 0);
  embed_row(static_cast<const uint16_t*>(args.table) + id * args.cols, args.out + token * args.cols, args.cols,
            args.scale);
}

__global__ void __launch_bounds__(kThreads) select_rows_kernel(GpuSelectRowsArgs args) {
  launch::after_previous_launch();
  const int64_t words = args.row_bytes / 4, row = blockIdx.x;
  const auto* from = static_cast<const uint32_t*>(args.in) + args.index[row] * words;
  auto* to = static_cast<uint32_t*>(args.out) + row * words;
  for (int64_t i = threadIdx.x; i < words; i += kThreads) to[i] = from[i];
}

int run_embed(const GpuEmbedArgs& args, void* stream) {
  return launch::run(embed_kernel, dim3(static_cast<unsigned>(args.tokens)), dim3(kThreads), args.overlap, stream,
                     args);
}

int run_select_rows(const GpuSelectRowsArgs& args, void* stream) {
  if (args.row_bytes % 4 != 0) return cudaErrorInvalidValue;
  return launch::run(select_rows_kernel, dim3(static_cast<unsigned>(args.rows)), dim3(kThreads), args.overlap, stream,
                     args);
}

}  // namespace

const GpuImpl<GpuEmbedArgs> kGpuEmbedSm80 = {"sm80", run_embed};
const GpuImpl<GpuSelectRowsArgs> kGpuSelectRowsSm80 = {"sm80", run_select_rows};

}  // namespace tern
