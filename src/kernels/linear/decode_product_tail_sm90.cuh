// How a decode product ends: a block's partial sums are added, and what stands around the product in a layer is done
// with them (DecodeOutput). Lane l of a warp has rows l / 4 and l / 4 + 8 of a tile for tokens 2 (l % 4) and the next
// one of 8: elements (row, token), (row, token + 1), (row + 8, token), (row + 8, token + 1).
#pragma once

#include <cstdint>

#include "kernels/activation/activate.cuh"
#include "kernels/linear/decode_product_params_sm90.cuh"
#include "kernels/ptx_sm90.cuh"
#include "kernels/vector_sm80.cuh"

namespace tern::decode_product {

// A warp's view of its block, whose sums are complete.
struct Tail {
  const uint8_t *slots, *scales;  // shared memory
  const float* factors;           // [tokens] of the norm before the product
  Tiles tiles;
  int warp, lane;

  __device__ int row_in_tile(int j) const { return lane / 4 + j / 2 * 8; }
  __device__ int token(int n, int j) const { return n * kMatrixTokens + lane % 4 * 2 + j % 2; }
};

// By the warp that fetches x: 1 / the root mean square of each token, in an order that depends on nothing else.
__device__ inline void norm_factors(const Params& p, float* factors, int lane) {
  if (p.norm.squares == nullptr) return;
  const int parts = p.cols / kTileRows;
  for (int token = 0; token < p.tokens; ++token) {
    float sum = 0;
    for (int i = lane; i < parts; i += 32) sum += p.norm.squares[token * parts + i];
    sum = gpu::warp_sum(sum);
    if (lane == 0) factors[token] = rsqrtf(sum / static_cast<float>(p.cols) + p.norm.eps);
  }
}

// Adds the slots of a block's tile in ascending order.
template <class R, int N>
__device__ inline void add_slots(const Params& p, const Tail& t, int tile, int n, float (&sum)[4]) {
  // Warp w has pairs [pairs w / kWarps, pairs (w + 1) / kWarps).
  const int pairs = t.tiles.count() * p.phase_groups;
  const int first = ((tile * p.phase_groups + 1) * R::kWarps - 1) / pairs;
  const int last = ((tile + 1) * p.phase_groups * R::kWarps - 1) / pairs;
  for (int from = first; from <= last; ++from) {
    if (pairs * from / R::kWarps == pairs * (from + 1) / R::kWarps) continue;  // a warp without work
    const float4 part = *reinterpret_cast<const float4*>(t.slots + ((tile + from) * N + n) * kSlotBytes + t.lane * 16);
    sum[0] += part.x;
    sum[1] += part.y;
    sum[2] += part.z;
    sum[3] += part.w;
  }
}

// The product's results: scaled as the weights and the norm want, with the bias.
template <class R, int N>
__device__ inline void tile_results(const Params& p, const Tail& t, int tile, int n, float (&sum)[4]) {
  float bias[2] = {};
  if (p.bias != nullptr) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = t.tiles.at(tile) * kTileRows + t.row_in_tile(2 * half);
      if (row < p.rows) bias[half] = p.bias[row];
    }
  }
  add_slots<R, N>(p, t, tile, n, sum);
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    if constexpr (R::kWeight == DecodeWeight::kFp8Channel)
      sum[j] *= reinterpret_cast<const float*>(t.scales)[tile * kTileRows + t.row_in_tile(j)];
    if (p.norm.squares != nullptr) sum[j] *= t.factors[t.token(n, j)];
    if (p.bias != nullptr) sum[j] += bias[j / 2];
  }
}

template <class R, int N>
__device__ inline void write_plain(const Params& p, const Tail& t) {
  for (int i = t.warp; i < t.tiles.count() * N; i += R::kThreads / 32) {
    const int tile = i / N, n = i % N;
    float sum[4] = {};
    tile_results<R, N>(p, t, tile, n, sum);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int row = t.tiles.at(tile) * kTileRows + t.row_in_tile(j), token = t.token(n, j);
      if (row < p.rows && token < p.tokens) p.y[token * p.y_stride + row] = ptx::bf16_bits(sum[j]);
    }
  }
}

// The residual sum in f32, what the next product reads, and each tile's part of the sums of squares.
template <class R, int N>
__device__ inline void write_residual(const Params& p, const Tail& t) {
  for (int i = t.warp; i < t.tiles.count() * N; i += R::kThreads / 32) {
    const int tile = i / N, n = i % N, at = t.tiles.at(tile);
    float sum[4] = {}, before[4] = {}, weight[2];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int row = at * kTileRows + t.row_in_tile(j), token = t.token(n, j);
      weight[j / 2] = p.residual.norm_weight[row];
      if (token < p.tokens) before[j] = p.residual.before[static_cast<int64_t>(token) * p.rows + row];
    }
    tile_results<R, N>(p, t, tile, n, sum);
    float squares[2] = {};
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int row = at * kTileRows + t.row_in_tile(j), token = t.token(n, j);
      sum[j] += before[j];
      squares[j % 2] = __fmaf_rn(sum[j], sum[j], squares[j % 2]);
      if (token >= p.tokens) continue;
      p.residual.after[static_cast<int64_t>(token) * p.rows + row] = sum[j];
      p.y[token * p.y_stride + row] = ptx::bf16_bits(sum[j] * weight[j / 2]);
    }
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      for (int distance = 4; distance < 32; distance *= 2)
        squares[j] += __shfl_xor_sync(0xffffffffu, squares[j], distance);
      if (t.lane < 4 && t.token(n, j) < p.tokens) p.residual.squares[t.token(n, j) * p.tiles + at] = squares[j];
    }
  }
}

template <class R, int N>
__device__ inline void write_glu(const Params& p, const Tail& t) {
  for (int i = t.warp; i < t.tiles.units * N; i += R::kThreads / 32) {
    const int pair = i / N, n = i % N;
    float gate[4] = {}, up[4] = {};
    tile_results<R, N>(p, t, pair, n, gate);
    tile_results<R, N>(p, t, pair + t.tiles.units, n, up);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int column = (t.tiles.first + pair) * kTileRows + t.row_in_tile(j), token = t.token(n, j);
      if (token >= p.tokens) continue;
      p.y[token * p.y_stride + column] = ptx::bf16_bits(gpu::activate(p.activation, gate[j]) * up[j]);
    }
  }
}

// The row of a token's key head or value head, whose part of a cache block begins at `offset`; null: it is not kept.
__device__ inline uint16_t* cache_row(const GpuRopeKvArgs& rope, int token, int64_t offset, int head) {
  const int64_t slot = rope.slots[token], block = slot / rope.block_tokens, place = slot % rope.block_tokens;
  if (slot < 0) return nullptr;
  auto* part = static_cast<uint8_t*>(const_cast<void*>(rope.view.pool)) + block * rope.view.block_bytes + offset;
  return reinterpret_cast<uint16_t*>(part) + (head * rope.block_tokens + place) * rope.head_dim;
}

// Row `row` of the matrix for a token: an element of a query, key or value, which is rotated with its partner of the
// same pair. `second`: it is the pair's second one.
__device__ inline void write_rotated(const Params& p, int row, int token, float value, float partner, bool second) {
  if (token >= p.tokens) return;
  const int head = row / p.rope.head_dim, d = row % p.rope.head_dim, half = p.rope.rope_dims / 2;
  const int pair = p.rope.style == RopeStyle::kInterleaved ? d / 2 : d - (second ? half : 0);
  const int kv_head = head - p.rope.heads;
  const bool is_value = kv_head >= p.rope.kv_heads;
  if (!is_value && pair < half) {
    const int64_t at = static_cast<int64_t>(p.rope.positions[token]) * half + pair;
    const float cos = p.rope.cos[at], sin = p.rope.sin[at];
    value = second ? partner * sin + value * cos : value * cos - partner * sin;
  }
  uint16_t* to = p.y + token * p.y_stride + head * p.rope.head_dim;
  if (kv_head >= 0) {
    to = cache_row(p.rope, token, is_value ? p.rope.view.v_offset : p.rope.view.k_offset,
                   is_value ? kv_head - p.rope.kv_heads : kv_head);
  }
  if (to != nullptr) to[d] = ptx::bf16_bits(value);
}

template <class R, int N>
__device__ inline void write_rope_halves(const Params& p, const Tail& t) {
  for (int i = t.warp; i < t.tiles.units * N; i += R::kThreads / 32) {
    const int pair = i / N, n = i % N;
    float low[4] = {}, high[4] = {};
    tile_results<R, N>(p, t, pair, n, low);
    tile_results<R, N>(p, t, pair + t.tiles.units, n, high);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int row = t.tiles.at(pair) * kTileRows + t.row_in_tile(j), token = t.token(n, j);
      write_rotated(p, row, token, low[j], high[j], false);
      write_rotated(p, row + p.rope.rope_dims / 2, token, high[j], low[j], true);
    }
  }
}

template <class R, int N>
__device__ inline void write_rope_interleaved(const Params& p, const Tail& t) {
  for (int i = t.warp; i < t.tiles.count() * N; i += R::kThreads / 32) {
    const int tile = i / N, n = i % N;
    float sum[4] = {};
    tile_results<R, N>(p, t, tile, n, sum);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int row = t.tiles.at(tile) * kTileRows + t.row_in_tile(j);
      const float partner = __shfl_xor_sync(0xffffffffu, sum[j], 4);  // of the neighbouring row
      write_rotated(p, row, t.token(n, j), sum[j], partner, row % 2 == 1);
    }
  }
}

template <class R, int N>
__device__ inline void write_sums(const Params& p, const Tail& t) {
  switch (p.output) {
    case DecodeOutput::kPlain:
      return write_plain<R, N>(p, t);
    case DecodeOutput::kResidual:
      return write_residual<R, N>(p, t);
    case DecodeOutput::kGlu:
      return write_glu<R, N>(p, t);
    case DecodeOutput::kRopeKv:
      return p.rope.style == RopeStyle::kHalves ? write_rope_halves<R, N>(p, t) : write_rope_interleaved<R, N>(p, t);
  }
}

}  // namespace tern::decode_product
