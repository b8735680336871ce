// The product of many tokens with a matrix of 4-bit weights on a GPU, y[t, n] = sum_k w[n, k] x[t, k]: the weights are
// read as they lie for decode_product.h and become bf16 in registers, scale and offset included, on their way to the
// matrix unit. Any number of tokens. Plain: CUDA files include this.
//
// Weights stay as they are for as long as launches read them and are written by no launch that may overlap one (they
// are fetched before the launch before has ended). Sums over k have one fixed order a shape and number of tokens. Any
// thread, one stream at a time.
#pragma once

#include <cstdint>

#include "kernels/linear/decode_product.h"

namespace tern {

// All pointers are device memory.
struct W4ProductArgs {
  DecodeProductDesc desc;  // kW4Block32 or kW4Block32Offset
  const void* weights;     // w4_block32.h, 128-byte aligned
  const void* x;           // bf16 [tokens, x_stride], 16-byte aligned
  int64_t x_stride;        // elements; a multiple of 8
  void* y;                 // bf16 [tokens, y_stride], 4-byte aligned
  int64_t y_stride;        // a multiple of 2
  int64_t tokens;
  // w4_product_workspace_bytes() that are zero before the first launch, of launches of one stream. 16-byte aligned.
  void* workspace;
  bool overlap;  // as DecodeProductArgs has it
};

struct W4ProductImpl {
  const char* name;  // "sm90_w4_product"
  DecodeWeight weight;
  bool (*supports)(const DecodeProductDesc&);
  // Enqueues on `stream` (a cudaStream_t); returns a cudaError_t as int, 0 for success.
  int (*run)(const W4ProductArgs&, void* stream);
};

struct W4ProductImplSpan {
  const W4ProductImpl* rows;
  int count;
};

extern const W4ProductImplSpan kW4ProductSm90;

// Of the current device.
int64_t w4_product_workspace_bytes();

}  // namespace tern
