// The product of a few tokens with one weight matrix on a GPU: y[t, n] = sum_k w[n, k] x[t, k], 1 to 16 tokens, which
// is what a decoding step and a short verification are. Bound by reading the weights once. Plain: CUDA files include
// this.
//
// Weights stay where they are for as long as launches read them and are written by no launch that may overlap one (they
// are fetched before the previous launch has ended). The result of a token does not depend on the other tokens or on
// their number: sums over k have one fixed order a shape. Any thread, one stream at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cost.h"

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

// All pointers are device memory.
struct DecodeProductArgs {
  DecodeProductDesc desc;
  const void* weights;  // 16-byte aligned
  const float* scales;  // of fp8; null for all others
  const void* x;        // bf16 [tokens, x_stride], 16-byte aligned
  int64_t x_stride;     // elements; a multiple of 8
  void* y;              // bf16 [tokens, y_stride]
  int64_t y_stride;
  int64_t tokens;
  // Start while the launch before still runs, and fetch weights before waiting for it. Off, the launch is an ordinary
  // one.
  bool overlap;
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
