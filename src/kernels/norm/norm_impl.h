// What one implementation of the norm family exports. ISA files include this. Bits: a row's output depends on that row
// alone; the sums have one fixed order per implementation.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern {

struct NormArgs {
  const float* x;       // [tokens, cols]
  const float* delta;   // [tokens, cols] or null: added to x first
  float* sum;           // [tokens, cols] x + delta; may alias x; ignored without delta
  const float* weight;  // [cols]
  float* out;           // [tokens, cols]
  int64_t tokens;
  int64_t cols;
  float eps;
  // Layer norm: the row's mean is taken away first, and bias [cols], where there is one, added last.
  bool centered = false;
  const float* bias = nullptr;
};

struct NormImpl {
  const char* name;
  uint32_t needs;  // IsaBits
  // Rows [begin, end).
  void (*run)(const NormArgs&, int64_t begin, int64_t end);
};

struct NormImplSpan {
  const NormImpl* rows;
  int count;
};

extern const NormImplSpan kNormAvx512;
extern const NormImplSpan kNormAvx2;
extern const NormImplSpan kNormRef;

}  // namespace tern
