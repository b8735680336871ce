// The product of a few tokens with one weight matrix on a GPU: y[t, n] = sum_k w[n, k] x[t, k], 1 to 16 tokens, which
// is what a decoding step and a short verification are. Bound by reading the weights once. Plain: CUDA files include
// this.
//
// What stands around such a product in a layer can be done in its launch: the division of a norm before it, and behind
// it a residual sum with the next norm, a gated activation, or the rotation of queries and keys with the cache's
// update.
//
// Weights stay where they are for as long as launches read them and are written by no launch that may overlap one (they
// are fetched before the previous launch has ended). The result of a token does not depend on the other tokens or on
// their number: sums over k have one fixed order a shape. Any thread, one stream at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/activation/glu_impl.h"
#include "kernels/cost.h"
#include "kernels/rope/rope_gpu.h"

namespace tern {

enum class DecodeWeight : uint8_t {
  kBf16,             // bf16 [rows, cols]
  kFp8Channel,       // e4m3 [rows, cols], one f32 scale a row
  kFp8Block,         // e4m3 [rows, cols], f32 scales [ceil(rows / 128), ceil(cols / 128)]
  kW4,               // packed as linear/w4_tiles.h says: 4-bit codes, one scale for 128 columns of a row
  kW4Block32,        // packed as linear/w4_block32.h says: one scale for 32 columns, which is Q4_0
  kW4Block32Offset,  // the same with an offset besides, which is Q4_K
};

struct DecodeProductDesc {
  int64_t rows;  // output features
  int64_t cols;  // input features
  DecodeWeight weight;
};

constexpr int64_t kDecodeProductMaxTokens = 16;

constexpr int64_t kDecodeTileRows = 16;

// The division of an RMS norm that x still lacks: by sqrt(sum of squares / cols + eps).
struct DecodeNorm {
  const float* squares = nullptr;  // [tokens, cols / kDecodeTileRows], to be added up; null: x lacks nothing
  float eps = 0;
};

enum class DecodeOutput : uint8_t {
  kPlain,     // y = sums
  kResidual,  // before + sums, and the norm behind it but for its division
  kGlu,       // y [tokens, rows / 2] = act(gate) * up; the matrix: rows of gate, then of up
  kRopeKv,    // y = rotate(q), cache <- (rotate(k), v); the matrix: rows of q, of k, of v
};

// kResidual; y = after * norm_weight, which a product with DecodeNorm reads.
struct DecodeResidual {
  const float* before = nullptr;  // [tokens, rows]
  float* after = nullptr;         // [tokens, rows] before + sums; may be `before`
  const float* norm_weight = nullptr;
  float* squares = nullptr;  // [tokens, rows / kDecodeTileRows] of `after`
};

// Whether a product of any weight but kFp8Block may end so.
constexpr bool decode_residual_fits(int64_t rows) { return rows % kDecodeTileRows == 0; }
constexpr bool decode_glu_fits(int64_t rows) { return rows % (2 * kDecodeTileRows) == 0; }
// Both elements of a rotated pair lie in one tile, or at the same place of two.
constexpr bool decode_rope_fits(int64_t head_dim, int64_t rope_dims, RopeStyle style, DecodeKv kv) {
  if (kv != DecodeKv::kBf16) return false;
  return style == RopeStyle::kInterleaved ? head_dim % kDecodeTileRows == 0
                                          : rope_dims == head_dim && head_dim % (2 * kDecodeTileRows) == 0;
}

// All pointers are device memory.
struct DecodeProductArgs {
  DecodeProductDesc desc;
  const void* weights;  // 16-byte aligned
  const float* scales;  // of fp8; null for all others
  const void* x;        // bf16 [tokens, x_stride], 16-byte aligned
  int64_t x_stride;     // elements; a multiple of 8
  void* y;              // bf16 [tokens, y_stride], `rows` columns unless `output` says otherwise
  int64_t y_stride;
  int64_t tokens;
  // Start while the launch before still runs, and fetch weights before waiting for it. Off, the launch is an ordinary
  // one.
  bool overlap;

  const float* bias = nullptr;  // [rows], added to the sums
  DecodeNorm norm = {};
  DecodeOutput output = DecodeOutput::kPlain;
  DecodeResidual residual = {};
  Activation activation = Activation::kSilu;  // kGlu
  GpuRopeKvArgs rope = {};                    // kRopeKv: all but qkv and q_out, which is y, tokens and overlap
};

struct DecodeProductImpl {
  const char* name;  // "sm90_w4"
  DecodeWeight weight;
  bool (*supports)(const DecodeProductDesc&);
  // Enqueues on `stream` (a cudaStream_t); returns a cudaError_t as int, 0 for success.
  int (*run)(const DecodeProductArgs&, void* stream);
  Cost (*cost)(const DecodeProductDesc&, int64_t tokens);
};

struct DecodeProductImplSpan {
  const DecodeProductImpl* rows;
  int count;
};

// Empty in none_sm90.cpp.
extern const DecodeProductImplSpan kDecodeProductSm90;

}  // namespace tern
