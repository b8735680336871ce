// Two launches: best key and sum of exponentials of each chunk of columns, and a thread block a row that joins the sums
// and finds the most probable tokens in one pass: none of k lies behind the k-th best of the chunks' best keys.
#include "kernels/launch.cuh"
#include "kernels/sample/draw_choose_sm80.cuh"
#include "kernels/sample/logprobs_gpu.h"

namespace tern {
namespace {

using draw::Key;

constexpr int kChunkThreads = 256;

__device__ uint64_t bits_of(double value) { return static_cast<uint64_t>(__double_as_longlong(value)); }
__device__ double double_of(uint64_t bits) { return __longlong_as_double(static_cast<long long>(bits)); }

template <int Threads>
__device__ double block_sum(double value, uint64_t* shared) {
  return double_of(draw::block_reduce<Threads>(
      bits_of(value), shared, [](uint64_t a, uint64_t b) { return bits_of(double_of(a) + double_of(b)); }));
}

__device__ bool is_wanted(const GpuLogprobsArgs& args, int64_t row) {
  return args.wanted[row] >= 0 && args.tokens[row] >= 0;
}

__global__ void __launch_bounds__(kChunkThreads) sum_kernel(GpuLogprobsArgs args, int64_t chunks) {
  launch::after_previous_launch();
  __shared__ uint64_t shared[kChunkThreads / 32];
  const int64_t row = blockIdx.y, begin = int64_t{blockIdx.x} * kGpuDrawChunk;
  if (!is_wanted(args, row)) return;
  const int64_t end = min(begin + kGpuDrawChunk, args.vocabulary);
  const float* logits = args.logits + row * args.vocabulary;
  const Key best = draw::best_of<kChunkThreads>(logits, begin, end, shared);
  const float largest = draw::logit_of(best);
  double sum = 0;
  if (!isinf(largest)) {  // else nothing in it has a weight
    for (int64_t i = begin + threadIdx.x; i < end; i += kChunkThreads) sum += double{expf(logits[i] - largest)};
  }
  sum = block_sum<kChunkThreads>(sum, shared);
  if (threadIdx.x == 0) {
    draw::best_keys(args, row, chunks)[blockIdx.x] = best;
    draw::weights(args, row, chunks)[blockIdx.x] = bits_of(sum);
  }
}

// The first keys of the row, sorted, into s.keys: at least `wanted`.
__device__ void load_first(const GpuLogprobsArgs& args, int64_t row, int64_t chunks, uint32_t wanted,
                           const draw::Scale& scale, draw::Shared& s) {
  const float* logits = args.logits + row * args.vocabulary;
  const Key* keys = draw::best_keys(args, row, chunks);
  Key end = draw::kNoKey;
  if (wanted <= chunks) {
    if (threadIdx.x < chunks) {
      const Key mine = keys[threadIdx.x];
      uint32_t rank = 0;
      for (int64_t c = 0; c < chunks; ++c) rank += keys[c] < mine;
      if (rank == wanted - 1) s.found = mine;
    }
    __syncthreads();
    end = s.found;
    __syncthreads();
  }
  if (draw::load_round(logits, args.vocabulary, scale, 0, true, end, s) <= draw::kRound) return;
  end = draw::select_key(logits, args.vocabulary, 0, true, wanted - 1, s);
  draw::load_round(logits, args.vocabulary, scale, 0, true, end, s);
}

__global__ void __launch_bounds__(draw::kThreads) logprobs_kernel(GpuLogprobsArgs args, int64_t chunks) {
  launch::after_previous_launch();
  __shared__ draw::Shared s;
  const int64_t row = blockIdx.x;
  if (!is_wanted(args, row)) return;
  const Key mine = threadIdx.x < chunks ? draw::best_keys(args, row, chunks)[threadIdx.x] : draw::kNoKey;
  const Key first = draw::block_reduce<draw::kThreads>(mine, s.reduce, [](Key a, Key b) { return min(a, b); });
  const float best = draw::logit_of(first);
  double sum = threadIdx.x < chunks ? double_of(draw::weights(args, row, chunks)[threadIdx.x]) : 0;
  if (sum > 0) sum *= exp(double{draw::logit_of(mine)} - double{best});
  const double log_sum = double{best} + log(block_sum<draw::kThreads>(sum, s.reduce));
  const auto wanted = static_cast<uint32_t>(min(int64_t{args.wanted[row]}, args.vocabulary));
  const uint32_t count = min(wanted, static_cast<uint32_t>(kGpuMostLogprobs));
  if (count > 0) load_first(args, row, chunks, count, draw::Scale(GpuDraw{1, -80, 1, 0, 0, 0}, best), s);
  GpuLogprobs& out = args.out[row];
  if (threadIdx.x == 0) {
    out.drawn = static_cast<float>(double{args.logits[row * args.vocabulary + args.tokens[row]]} - log_sum);
    out.count = static_cast<int32_t>(count);
  }
  if (threadIdx.x < count) {
    const Key key = s.keys[threadIdx.x];
    out.ids[threadIdx.x] = static_cast<int32_t>(static_cast<uint32_t>(key));
    out.values[threadIdx.x] = static_cast<float>(double{draw::logit_of(key)} - log_sum);
  }
}

int run_logprobs(const GpuLogprobsArgs& args, void* stream) {
  if (args.rows == 0) return cudaSuccess;
  if (args.vocabulary <= 0 || args.vocabulary >= kGpuDrawVocabulary) return cudaErrorInvalidValue;
  const int64_t chunks = gpu_draw_chunks(args.vocabulary);
  const dim3 grid(static_cast<unsigned>(chunks), static_cast<unsigned>(args.rows));
  const int error = launch::run(sum_kernel, grid, dim3(kChunkThreads), args.overlap, stream, args, chunks);
  if (error != cudaSuccess) return error;
  return launch::run(logprobs_kernel, dim3(static_cast<unsigned>(args.rows)), dim3(draw::kThreads), args.overlap,
                     stream, args, chunks);
}

}  // namespace

const GpuImpl<GpuLogprobsArgs> kGpuLogprobsSm80 = {"sm80", run_logprobs};

}  // namespace tern
