// Rotation and cache: a thread block a token, a warp a head's row, which stays in registers from its norm to the cache.
#include <cuda_fp8.h>

#include "kernels/launch.cuh"
#include "kernels/rope/rope_gpu.h"
#include "kernels/vector_sm80.cuh"

namespace tern {
namespace {

constexpr int kThreads = 256;
constexpr int kMostPairs = 4;            // of a lane
constexpr float kLargest = 448;          // of e4m3
constexpr float kTiny = 0x1p-100f;       // rows with nothing larger become zero
constexpr float kFinite = 3.402823e38f;  // at most

enum class Part { kQ, kK, kV };

// One head of a token: which it is, and its elements, pairs lane, lane + 32, ...
struct HeadRow {
  Part part;
  int head;  // of its part
  float2 x[kMostPairs] = {};
};

__device__ int lane_of() { return static_cast<int>(threadIdx.x) % 32; }

// The lane's pairs, and where their elements lie in the row: visit(i, pair, a, b).
template <typename Visit>
__device__ void for_pairs(const GpuRopeKvArgs& args, Part part, const Visit& visit) {
  const int half = args.rope_dims / 2;
#pragma unroll
  for (int i = 0; i < kMostPairs; ++i) {
    const int pair = i * 32 + lane_of();
    if (pair >= args.head_dim / 2) continue;
    const bool halves = part != Part::kV && args.style == RopeStyle::kHalves && pair < half;
    visit(i, pair, halves ? pair : 2 * pair, halves ? pair + half : 2 * pair + 1);
  }
}

__device__ HeadRow load_head(const GpuRopeKvArgs& args, int64_t token, int column) {
  const int columns = args.heads + 2 * args.kv_heads;
  const auto* from = static_cast<const uint16_t*>(args.qkv) + (token * columns + column) * args.head_dim;
  HeadRow row = {column < args.heads ? Part::kQ : column < args.heads + args.kv_heads ? Part::kK : Part::kV, column};
  if (row.part != Part::kQ) row.head -= args.heads;
  if (row.part == Part::kV) row.head -= args.kv_heads;
  for_pairs(args, row.part,
            [&](int i, int, int a, int b) { row.x[i] = make_float2(gpu::to_float(from[a]), gpu::to_float(from[b])); });
  return row;
}

__device__ void norm_head(const GpuRopeKvArgs& args, HeadRow& row) {
  const float* weight = row.part == Part::kQ ? args.q_norm : row.part == Part::kK ? args.k_norm : nullptr;
  if (weight == nullptr) return;
  float squares = 0;
#pragma unroll
  for (int i = 0; i < kMostPairs; ++i) squares += row.x[i].x * row.x[i].x + row.x[i].y * row.x[i].y;
  const float scale = rsqrtf(gpu::warp_sum(squares) / static_cast<float>(args.head_dim) + args.norm_eps);
  for_pairs(args, row.part, [&](int i, int, int a, int b) {
    row.x[i].x *= scale * weight[a];
    row.x[i].y *= scale * weight[b];
  });
}

__device__ void rotate_head(const GpuRopeKvArgs& args, HeadRow& row, int64_t position) {
  const int half = args.rope_dims / 2;
  if (row.part == Part::kV) return;
  for_pairs(args, row.part, [&](int i, int pair, int, int) {
    if (pair >= half) return;
    const float cos = args.cos[position * half + pair], sin = args.sin[position * half + pair];
    row.x[i] = make_float2(row.x[i].x * cos - row.x[i].y * sin, row.x[i].x * sin + row.x[i].y * cos);
  });
}

__device__ void write_bf16(const GpuRopeKvArgs& args, const HeadRow& row, uint16_t* to) {
  for_pairs(args, row.part, [&](int i, int, int a, int b) {
    to[a] = gpu::to_bf16(row.x[i].x);
    to[b] = gpu::to_bf16(row.x[i].y);
  });
}

__device__ uint8_t to_e4m3(float value) { return __nv_cvt_float_to_fp8(value, __NV_SATFINITE, __NV_E4M3); }

// As codes and a scale. A row with a number that is not finite gets a scale that is none, so that what attends to it
// shows.
__device__ void write_codes(const GpuRopeKvArgs& args, const HeadRow& row, uint8_t* to, float* to_scale) {
  float largest = 0;
  bool finite = true;
#pragma unroll
  for (int i = 0; i < kMostPairs; ++i) {
    finite = finite && fabsf(row.x[i].x) <= kFinite && fabsf(row.x[i].y) <= kFinite;
    largest = fmaxf(largest, fmaxf(fabsf(row.x[i].x), fabsf(row.x[i].y)));
  }
  largest = gpu::warp_max(largest);
  finite = __all_sync(0xffffffffu, finite);
  const float factor = largest > kTiny ? kLargest / largest : 0;
  for_pairs(args, row.part, [&](int i, int, int a, int b) {
    to[a] = to_e4m3(row.x[i].x * factor);
    to[b] = to_e4m3(row.x[i].y * factor);
  });
  if (lane_of() == 0) *to_scale = !finite ? NAN : largest > kTiny ? largest / kLargest : 0;
}

// A key or value to the token's place in the cache.
__device__ void write_cache(const GpuRopeKvArgs& args, const HeadRow& row, int64_t slot) {
  const bool value = row.part == Part::kV;
  auto* block =
      static_cast<std::byte*>(const_cast<void*>(args.view.pool)) + slot / args.block_tokens * args.view.block_bytes;
  const int64_t at = static_cast<int64_t>(row.head) * args.block_tokens + slot % args.block_tokens;
  std::byte* rows = block + (value ? args.view.v_offset : args.view.k_offset);
  if (args.kv == DecodeKv::kFp8) {
    auto* scales = reinterpret_cast<float*>(block + (value ? args.view.v_scale_offset : args.view.k_scale_offset));
    write_codes(args, row, reinterpret_cast<uint8_t*>(rows) + at * args.head_dim, scales + at);
  } else {
    write_bf16(args, row, reinterpret_cast<uint16_t*>(rows) + at * args.head_dim);
  }
}

__global__ void __launch_bounds__(kThreads) rope_kv_kernel(GpuRopeKvArgs args) {
  launch::after_previous_launch();
  const int64_t token = blockIdx.x, slot = args.slots[token], position = args.positions[token];
  for (int column = static_cast<int>(threadIdx.x) / 32; column < args.heads + 2 * args.kv_heads;
       column += kThreads / 32) {
    HeadRow row = load_head(args, token, column);
    norm_head(args, row);
    rotate_head(args, row, position);
    if (row.part == Part::kQ) {
      write_bf16(args, row, static_cast<uint16_t*>(args.q_out) + (token * args.heads + row.head) * args.head_dim);
    } else if (slot >= 0) {
      write_cache(args, row, slot);
    }
  }
}

int run(const GpuRopeKvArgs& args, void* stream) {
  if (args.head_dim % 2 != 0 || args.rope_dims % 2 != 0 || args.rope_dims > args.head_dim) return cudaErrorInvalidValue;
  if (args.head_dim > kMostPairs * 64) return cudaErrorInvalidValue;
  return launch::run(rope_kv_kernel, dim3(static_cast<unsigned>(args.tokens)), dim3(kThreads), args.overlap, stream,
                     args);
}

}  // namespace

const GpuImpl<GpuRopeKvArgs> kGpuRopeKvSm80 = {"sm80", run};

}  // namespace tern
