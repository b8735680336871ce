// Rotation and cache: a thread block a token, a thread a pair of elements; of an FP8 cache a warp a head's row.
#include <cuda_fp8.h>

#include "kernels/launch.cuh"
#include "kernels/rope/rope_gpu.h"
#include "kernels/vector_sm80.cuh"

namespace tern {
namespace {

constexpr int kThreads = 256;
constexpr int kMostPairs = 4;            // of a lane, in FP8
constexpr float kLargest = 448;          // of e4m3
constexpr float kTiny = 0x1p-100f;       // rows with nothing larger become zero
constexpr float kFinite = 3.402823e38f;  // at most

// Where element d of a key or value head of the token lies in the cache; null: nowhere.
__device__ uint16_t* cache_row(const GpuRopeKvArgs& args, int64_t slot, int64_t offset, int head) {
  if (slot < 0) return nullptr;
  auto* block = static_cast<std::byte*>(const_cast<void*>(args.view.pool)) +
                slot / args.block_tokens * args.view.block_bytes + offset;
  return reinterpret_cast<uint16_t*>(block) + (head * args.block_tokens + slot % args.block_tokens) * args.head_dim;
}

// Pair i of a head: its elements' places.
__device__ void places_of(const GpuRopeKvArgs& args, int pair, int& a, int& b) {
  const int half = args.rope_dims / 2;
  if (pair >= half || args.style == RopeStyle::kInterleaved) {
    a = 2 * pair, b = 2 * pair + 1;  // behind the rotated ones too
  } else {
    a = pair, b = pair + half;
  }
}

// The pair, rotated. `from`: the head's row.
__device__ float2 rotated(const GpuRopeKvArgs& args, const uint16_t* from, int pair, int64_t position) {
  int a, b;
  places_of(args, pair, a, b);
  const int half = args.rope_dims / 2;
  const float xa = gpu::to_float(from[a]), xb = gpu::to_float(from[b]);
  if (pair >= half) return make_float2(xa, xb);
  const float cos = args.cos[position * half + pair], sin = args.sin[position * half + pair];
  return make_float2(xa * cos - xb * sin, xa * sin + xb * cos);
}

__device__ void rotate(const GpuRopeKvArgs& args, const uint16_t* from, uint16_t* to, int pair, int64_t position) {
  int a, b;
  places_of(args, pair, a, b);
  const float2 x = rotated(args, from, pair, position);
  to[a] = gpu::to_bf16(x.x);
  to[b] = gpu::to_bf16(x.y);
}

__device__ uint8_t to_e4m3(float value) { return __nv_cvt_float_to_fp8(value, __NV_SATFINITE, __NV_E4M3); }

// By a warp: head `head` of keys, or of values, as codes and a scale. A row with a number that is not finite gets a
// scale that is none, so that what attends to it shows.
__device__ void write_codes(const GpuRopeKvArgs& args, const uint16_t* from, int head, bool value, int64_t slot,
                            int64_t position) {
  const int lane = static_cast<int>(threadIdx.x) % 32, pairs = args.head_dim / 2;
  float2 x[kMostPairs] = {};
  float largest = 0;
  bool finite = true;
#pragma unroll
  for (int i = 0; i < kMostPairs; ++i) {
    const int pair = i * 32 + lane;
    if (pair >= pairs) continue;
    x[i] = value ? make_float2(gpu::to_float(from[2 * pair]), gpu::to_float(from[2 * pair + 1]))
                 : rotated(args, from, pair, position);
    finite = finite && fabsf(x[i].x) <= kFinite && fabsf(x[i].y) <= kFinite;
    largest = fmaxf(largest, fmaxf(fabsf(x[i].x), fabsf(x[i].y)));
  }
  largest = gpu::warp_max(largest);
  finite = __all_sync(0xffffffffu, finite);
  const float factor = largest > kTiny ? kLargest / largest : 0;
  auto* block =
      static_cast<std::byte*>(const_cast<void*>(args.view.pool)) + slot / args.block_tokens * args.view.block_bytes;
  const int64_t row = static_cast<int64_t>(head) * args.block_tokens + slot % args.block_tokens;
  auto* to =
      reinterpret_cast<uint8_t*>(block + (value ? args.view.v_offset : args.view.k_offset)) + row * args.head_dim;
#pragma unroll
  for (int i = 0; i < kMostPairs; ++i) {
    const int pair = i * 32 + lane;
    if (pair >= pairs) continue;
    int a = 2 * pair, b = 2 * pair + 1;
    if (!value) places_of(args, pair, a, b);
    to[a] = to_e4m3(x[i].x * factor);
    to[b] = to_e4m3(x[i].y * factor);
  }
  if (lane != 0) return;
  auto* scales = reinterpret_cast<float*>(block + (value ? args.view.v_scale_offset : args.view.k_scale_offset));
  scales[row] = !finite ? NAN : largest > kTiny ? largest / kLargest : 0;
}

__device__ void run_token(const GpuRopeKvArgs& args, int64_t token) {
  const int pairs = args.head_dim / 2, all = (args.heads + 2 * args.kv_heads) * pairs;
  const int64_t slot = args.slots[token], position = args.positions[token];
  const auto* row = static_cast<const uint16_t*>(args.qkv) + token * 2 * all;
  const bool fp8 = args.kv == DecodeKv::kFp8;
  if (fp8 && slot >= 0) {
    for (int head = static_cast<int>(threadIdx.x) / 32; head < 2 * args.kv_heads; head += kThreads / 32) {
      const bool value = head >= args.kv_heads;
      write_codes(args, row + (args.heads + head) * args.head_dim, value ? head - args.kv_heads : head, value, slot,
                  position);
    }
  }
  for (int i = static_cast<int>(threadIdx.x); i < (fp8 ? args.heads * pairs : all); i += kThreads) {
    const int column = i / pairs, pair = i % pairs;
    const uint16_t* from = row + column * args.head_dim;
    if (column < args.heads) {
      rotate(args, from, static_cast<uint16_t*>(args.q_out) + (token * args.heads + column) * args.head_dim, pair,
             position);
    } else if (column < args.heads + args.kv_heads) {
      uint16_t* to = cache_row(args, slot, args.view.k_offset, column - args.heads);
      if (to != nullptr) rotate(args, from, to, pair, position);
    } else {
      uint16_t* to = cache_row(args, slot, args.view.v_offset, column - args.heads - args.kv_heads);
      if (to != nullptr) to[2 * pair] = from[2 * pair], to[2 * pair + 1] = from[2 * pair + 1];
    }
  }
}

__global__ void __launch_bounds__(kThreads) rope_kv_kernel(GpuRopeKvArgs args) {
  launch::after_previous_launch();
  run_token(args, blockIdx.x);
}

int run(const GpuRopeKvArgs& args, void* stream) {
  if (args.head_dim % 2 != 0 || args.rope_dims % 2 != 0 || args.rope_dims > args.head_dim) return cudaErrorInvalidValue;
  if (args.kv == DecodeKv::kFp8 && args.head_dim > kMostPairs * 64) return cudaErrorInvalidValue;
  return launch::run(rope_kv_kernel, dim3(static_cast<unsigned>(args.tokens)), dim3(kThreads), args.overlap, stream,
                     args);
}

}  // namespace

const GpuImpl<GpuRopeKvArgs> kGpuRopeKvSm80 = {"sm80", run};

}  // namespace tern
