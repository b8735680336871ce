// Attention, plainly: a thread block a (token, head). Each of its warps takes every fourth tile of 32 keys, counted
// from position 0: a lane computes one key's score, then all lanes share the sum over the tile's values by dimension.
// The warps' partial results are joined in shared memory in ascending order.
#include "kernels/attention/attention_gpu.h"
#include "kernels/launch.cuh"
#include "kernels/vector_sm80.cuh"

namespace tern {
namespace {

constexpr int kWarps = 4;
constexpr int kTile = 32;
constexpr int kLanes = kGpuAttentionMaxDim / 32;  // dimensions a lane sums, at most

struct Partial {
  float max = -INFINITY, sum = 0;
  float out[kLanes] = {};
};

struct Row {
  const GpuAttentionArgs& args;
  const int32_t* table;
  int32_t kv_head;
  int64_t first, last;  // positions of its keys

  __device__ const uint16_t* at(int64_t key, int64_t offset) const {
    const int32_t tokens = args.desc.block_tokens;
    const auto* block = static_cast<const std::byte*>(args.kv.pool) + table[key / tokens] * args.kv.block_bytes;
    return reinterpret_cast<const uint16_t*>(block + offset) +
           (static_cast<int64_t>(kv_head) * tokens + key % tokens) * args.desc.head_dim;
  }
};

__device__ float score(const Row& row, const float* q, int64_t key) {
  if (key < row.first || key > row.last) return -INFINITY;
  const uint16_t* k = row.at(key, row.args.kv.k_offset);
  float sum = 0;
  for (int d = 0; d < row.args.desc.head_dim; ++d) sum = fmaf(q[d], gpu::to_float(k[d]), sum);
  return sum * row.args.desc.scale;
}

__device__ void add_tile(const Row& row, const float* q, int64_t tile, Partial& partial) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const float own = score(row, q, tile + lane);
  const float max = fmaxf(partial.max, gpu::warp_max(own));
  if (max == -INFINITY) return;
  const float fade = __expf(partial.max - max), weight = __expf(own - max);
  partial.max = max;
  partial.sum = partial.sum * fade + gpu::warp_sum(weight);
#pragma unroll
  for (float& out : partial.out) out *= fade;
  for (int i = 0; i < kTile; ++i) {
    const float w = __shfl_sync(0xffffffffu, weight, i);
    const int64_t key = tile + i;
    if (key < row.first || key > row.last) continue;
    const uint16_t* v = row.at(key, row.args.kv.v_offset);
#pragma unroll
    for (int j = 0; j < kLanes; ++j) {
      const int d = j * 32 + lane;
      if (d < row.args.desc.head_dim) partial.out[j] = fmaf(w, gpu::to_float(v[d]), partial.out[j]);
    }
  }
}

__device__ void join(const Partial& partial, int dim, uint16_t* out) {
  __shared__ float maxima[kWarps], sums[kWarps], outs[kWarps][kGpuAttentionMaxDim];
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  if (lane == 0) maxima[warp] = partial.max, sums[warp] = partial.sum;
#pragma unroll
  for (int j = 0; j < kLanes; ++j) outs[warp][j * 32 + lane] = partial.out[j];
  __syncthreads();
  float max = maxima[0], sum = 0;
  for (int w = 1; w < kWarps; ++w) max = fmaxf(max, maxima[w]);
  for (int w = 0; w < kWarps; ++w) sum += sums[w] * __expf(maxima[w] - max);
  for (int d = static_cast<int>(threadIdx.x); d < dim; d += kWarps * 32) {
    float value = 0;
    for (int w = 0; w < kWarps; ++w) value += outs[w][d] * __expf(maxima[w] - max);
    out[d] = gpu::to_bf16(value / sum);
  }
}

__device__ void run_row(const GpuAttentionArgs& args, int64_t token, int head) {
  __shared__ float q[kGpuAttentionMaxDim];
  const int dim = args.desc.head_dim;
  const int64_t at = (token * args.desc.heads + head) * dim, position = args.positions[token];
  const Row row{args, args.block_tables + args.sequences[token] * args.table_stride,
                head / (args.desc.heads / args.desc.kv_heads),
                args.window > 0 && position >= args.window ? position - args.window + 1 : 0, position};
  for (int d = static_cast<int>(threadIdx.x); d < dim; d += kWarps * 32) {
    q[d] = gpu::to_float(static_cast<const uint16_t*>(args.q)[at + d]);
  }
  __syncthreads();
  Partial partial;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  for (int64_t tile = row.first / (kTile * kWarps) * (kTile * kWarps) + warp * kTile; tile <= row.last;
       tile += kTile * kWarps) {
    add_tile(row, q, tile, partial);
  }
  join(partial, dim, static_cast<uint16_t*>(args.out) + at);
}

__global__ void __launch_bounds__(kWarps * 32) attention_kernel(GpuAttentionArgs args) {
  launch::after_previous_launch();
  run_row(args, blockIdx.x, static_cast<int>(blockIdx.y));
}

int run(const GpuAttentionArgs& args, void* stream) {
  const DecodeAttentionDesc& desc = args.desc;
  if (desc.kv != DecodeKv::kBf16 || desc.head_dim > kGpuAttentionMaxDim || desc.heads % desc.kv_heads != 0)
    return cudaErrorInvalidValue;
  return launch::run(attention_kernel, dim3(static_cast<unsigned>(args.tokens), static_cast<unsigned>(desc.heads)),
                     dim3(kWarps * 32), args.overlap, stream, args);
}

}  // namespace

const GpuImpl<GpuAttentionArgs> kGpuAttentionSm80 = {"sm80", run};

}  // namespace tern
