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

__device__ float element(const uint16_t* row, int d) { return gpu::to_float(row[d]); }
// e4m3: the fields moved to those of an f32, whose bias is 120 more.
__device__ float element(const uint8_t* row, int d) {
  const uint32_t bits = row[d];
  return __uint_as_float((bits & 0x80) << 24 | (bits & 0x7f) << 20) * 0x1p120f;
}

template <typename Element>
struct Row {
  const GpuAttentionArgs& args;
  const int32_t* table;
  int32_t kv_head;
  int64_t first, last;  // positions of its keys

  __device__ const std::byte* block(int64_t key) const {
    return static_cast<const std::byte*>(args.kv.pool) + table[key / args.desc.block_tokens] * args.kv.block_bytes;
  }
  __device__ int64_t row_of(int64_t key) const {
    return static_cast<int64_t>(kv_head) * args.desc.block_tokens + key % args.desc.block_tokens;
  }
  __device__ const Element* at(int64_t key, int64_t offset) const {
    return reinterpret_cast<const Element*>(block(key) + offset) + row_of(key) * args.desc.head_dim;
  }
  __device__ float scale(int64_t key, int64_t offset) const {
    if constexpr (sizeof(Element) == 2) return 1;
    return reinterpret_cast<const float*>(block(key) + offset)[row_of(key)];
  }
};

template <typename Element>
__device__ float score(const Row<Element>& row, const float* q, int64_t key) {
  if (key < row.first || key > row.last) return -INFINITY;
  const Element* k = row.at(key, row.args.kv.k_offset);
  float sum = 0;
  for (int d = 0; d < row.args.desc.head_dim; ++d) sum = fmaf(q[d], element(k, d), sum);
  sum *= row.args.desc.scale * row.scale(key, row.args.kv.k_scale_offset);
  const float cap = row.args.desc.soft_cap;
  return cap > 0 ? cap * tanhf(sum / cap) : sum;
}

template <typename Element>
__device__ void add_tile(const Row<Element>& row, const float* q, int64_t tile, Partial& partial) {
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
    const Element* v = row.at(key, row.args.kv.v_offset);
    const float weighted = w * row.scale(key, row.args.kv.v_scale_offset);
#pragma unroll
    for (int j = 0; j < kLanes; ++j) {
      const int d = j * 32 + lane;
      if (d < row.args.desc.head_dim) partial.out[j] = fmaf(weighted, element(v, d), partial.out[j]);
    }
  }
}

// `sink`: a score more; minus infinity: none.
__device__ void join(const Partial& partial, float sink, int dim, uint16_t* out) {
  __shared__ float maxima[kWarps], sums[kWarps], outs[kWarps][kGpuAttentionMaxDim];
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  if (lane == 0) maxima[warp] = partial.max, sums[warp] = partial.sum;
#pragma unroll
  for (int j = 0; j < kLanes; ++j) outs[warp][j * 32 + lane] = partial.out[j];
  __syncthreads();
  float max = sink;
  for (int w = 0; w < kWarps; ++w) max = fmaxf(max, maxima[w]);
  float sum = __expf(sink - max);
  for (int w = 0; w < kWarps; ++w) sum += sums[w] * __expf(maxima[w] - max);
  for (int d = static_cast<int>(threadIdx.x); d < dim; d += kWarps * 32) {
    float value = 0;
    for (int w = 0; w < kWarps; ++w) value += outs[w][d] * __expf(maxima[w] - max);
    out[d] = gpu::to_bf16(value / sum);
  }
}

template <typename Element>
__device__ void run_row(const GpuAttentionArgs& args, int64_t token, int head) {
  __shared__ float q[kGpuAttentionMaxDim];
  const int dim = args.desc.head_dim;
  const int64_t at = (token * args.desc.heads + head) * dim, position = args.positions[token];
  const int64_t window = args.desc.window;
  const Row<Element> row{args, args.block_tables + args.sequences[token] * args.table_stride,
                         head / (args.desc.heads / args.desc.kv_heads),
                         window > 0 && position >= window ? position - window + 1 : 0, position};
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
  join(partial, args.sinks == nullptr ? -INFINITY : args.sinks[head], dim, static_cast<uint16_t*>(args.out) + at);
}

template <typename Element>
__global__ void __launch_bounds__(kWarps * 32) attention_kernel(GpuAttentionArgs args) {
  launch::after_previous_launch();
  run_row<Element>(args, blockIdx.x, static_cast<int>(blockIdx.y));
}

int run(const GpuAttentionArgs& args, void* stream) {
  const DecodeAttentionDesc& desc = args.desc;
  if (desc.head_dim > kGpuAttentionMaxDim || desc.heads % desc.kv_heads != 0) return cudaErrorInvalidValue;
  const dim3 blocks(static_cast<unsigned>(args.tokens), static_cast<unsigned>(desc.heads));
  return launch::run(desc.kv == DecodeKv::kFp8 ? attention_kernel<uint8_t> : attention_kernel<uint16_t>, blocks,
                     dim3(kWarps * 32), args.overlap, stream, args);
}

}  // namespace

const GpuImpl<GpuAttentionArgs> kGpuAttentionSm80 = {"sm80", run};

}  // namespace tern
