// Rotation and cache: a thread block a token, a thread a pair of elements.
#include "kernels/launch.cuh"
#include "kernels/rope/rope_gpu.h"
#include "kernels/vector_sm80.cuh"

namespace tern {
namespace {

constexpr int kThreads = 256;

// Where element d of a key or value head of the token lies in the cache; null: nowhere.
__device__ uint16_t* cache_row(const GpuRopeKvArgs& args, int64_t slot, int64_t offset, int head) {
  if (slot < 0) return nullptr;
  auto* block = static_cast<std::byte*>(args.pool) + slot / args.block_tokens * args.block_bytes + offset;
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

__device__ void rotate(const GpuRopeKvArgs& args, const uint16_t* from, uint16_t* to, int pair, int64_t position) {
  int a, b;
  places_of(args, pair, a, b);
  const int half = args.rope_dims / 2;
  if (pair >= half) {
    to[a] = from[a], to[b] = from[b];
    return;
  }
  const float cos = args.cos[position * half + pair], sin = args.sin[position * half + pair];
  const float xa = gpu::to_float(from[a]), xb = gpu::to_float(from[b]);
  to[a] = gpu::to_bf16(xa * cos - xb * sin);
  to[b] = gpu::to_bf16(xa * sin + xb * cos);
}

__device__ void run_token(const GpuRopeKvArgs& args, int64_t token) {
  const int pairs = args.head_dim / 2, all = (args.heads + 2 * args.kv_heads) * pairs;
  const int64_t slot = args.slots[token], position = args.positions[token];
  const auto* row = static_cast<const uint16_t*>(args.qkv) + token * 2 * all;
  for (int i = static_cast<int>(threadIdx.x); i < all; i += kThreads) {
    const int column = i / pairs, pair = i % pairs;
    const uint16_t* from = row + column * args.head_dim;
    if (column < args.heads) {
      rotate(args, from, static_cast<uint16_t*>(args.q_out) + (token * args.heads + column) * args.head_dim, pair,
             position);
    } else if (column < args.heads + args.kv_heads) {
      uint16_t* to = cache_row(args, slot, args.k_offset, column - args.heads);
      if (to != nullptr) rotate(args, from, to, pair, position);
    } else {
      uint16_t* to = cache_row(args, slot, args.v_offset, column - args.heads - args.kv_heads);
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
  return launch::run(rope_kv_kernel, dim3(static_cast<unsigned>(args.tokens)), dim3(kThreads), args.overlap, stream,
                     args);
}

}  // namespace

const GpuImpl<GpuRopeKvArgs> kGpuRopeKvSm80 = {"sm80", run};

}  // namespace tern
