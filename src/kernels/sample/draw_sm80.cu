// Draws in three launches: the best of each chunk of columns, the weight of each chunk, and a thread block a row that
// chooses. Where all rows are greedy the second is left out.
#include <algorithm>

#include "kernels/launch.cuh"
#include "kernels/sample/draw_choose_sm80.cuh"

namespace tern {
namespace {

using draw::Key;

constexpr int kChunkThreads = 256;

__global__ void __launch_bounds__(kChunkThreads) best_kernel(GpuDrawArgs args, int64_t chunks) {
  launch::after_previous_launch();
  __shared__ Key shared[kChunkThreads / 32];
  const int64_t row = blockIdx.y, begin = int64_t{blockIdx.x} * kGpuDrawChunk;
  const int64_t end = min(begin + kGpuDrawChunk, args.vocabulary);
  const Key best = draw::best_of<kChunkThreads>(draw::logits_of(args, row), begin, end, shared);
  if (threadIdx.x == 0) draw::best_keys(args, row, chunks)[blockIdx.x] = best;
}

__global__ void __launch_bounds__(kChunkThreads) weight_kernel(GpuDrawArgs args, int64_t chunks) {
  launch::after_previous_launch();
  __shared__ uint64_t shared[kChunkThreads / 32];
  __shared__ Key best_shared[kChunkThreads / 32];
  const int64_t row = blockIdx.y, begin = int64_t{blockIdx.x} * kGpuDrawChunk;
  const int64_t end = min(begin + kGpuDrawChunk, args.vocabulary);
  const float* logits = draw::logits_of(args, row);
  const GpuDraw params = args.draws[row];
  const Key* keys = draw::best_keys(args, row, chunks);
  Key best = draw::kNoKey;
  for (int64_t c = threadIdx.x; c < chunks; c += kChunkThreads) best = min(best, keys[c]);
  best = draw::block_reduce<kChunkThreads>(best, best_shared, [](Key a, Key b) { return min(a, b); });
  const draw::Scale scale(params, draw::logit_of(best));
  uint64_t sum = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += kChunkThreads) sum += scale.weight(logits[i]);
  sum = draw::block_reduce<kChunkThreads>(sum, shared, [](uint64_t a, uint64_t b) { return a + b; });
  if (threadIdx.x == 0) draw::weights(args, row, chunks)[blockIdx.x] = sum;
}

// Of one sequence a step draws one token.
__device__ void count(const GpuDrawArgs& args, int32_t slot, uint32_t token) {
  if (slot < 0) return;
  GpuTokenCount& seen = args.counts[slot * args.vocabulary + token];
  seen = counted_once_more(seen);
}

__global__ void __launch_bounds__(draw::kThreads) choose_kernel(GpuDrawArgs args, int64_t chunks) {
  launch::after_previous_launch();
  __shared__ draw::Shared s;
  const int64_t row = blockIdx.x;
  const GpuDraw params = args.draws[row];
  const Key* keys = draw::best_keys(args, row, chunks);
  Key best = threadIdx.x < chunks ? keys[threadIdx.x] : draw::kNoKey;
  best = draw::block_reduce<draw::kThreads>(best, s.reduce, [](uint64_t a, uint64_t b) { return min(a, b); });
  const float logit = draw::logit_of(best);
  uint32_t token;
  if (best == draw::kNan || best == draw::kNoKey || isinf(logit)) {
    token = ~0u;
  } else if (params.inverse_temperature == 0) {
    token = static_cast<uint32_t>(best);
  } else {
    token = draw::choose(args, row, chunks, params, draw::Scale(params, logit), s);
  }
  if (threadIdx.x != 0) return;
  args.tokens[row] = static_cast<int32_t>(token);
  if (args.adjusts != nullptr && token != ~0u) count(args, args.adjusts[row].slot, token);
}

int run_draw(const GpuDrawArgs& args, void* stream) {
  if (args.rows == 0) return cudaSuccess;
  if (args.vocabulary <= 0 || args.vocabulary >= kGpuDrawVocabulary) return cudaErrorInvalidValue;
  const int64_t chunks = gpu_draw_chunks(args.vocabulary);
  const dim3 grid(static_cast<unsigned>(chunks), static_cast<unsigned>(args.rows));
  int error = launch::run(best_kernel, grid, dim3(kChunkThreads), args.overlap, stream, args, chunks);
  if (error == cudaSuccess && !args.greedy) {
    error = launch::run(weight_kernel, grid, dim3(kChunkThreads), args.overlap, stream, args, chunks);
  }
  if (error != cudaSuccess) return error;
  return launch::run(choose_kernel, dim3(static_cast<unsigned>(args.rows)), dim3(draw::kThreads), args.overlap, stream,
                     args, chunks);
}

}  // namespace

const GpuImpl<GpuDrawArgs> kGpuDrawSm80 = {"sm80", run_draw};

}  // namespace tern
