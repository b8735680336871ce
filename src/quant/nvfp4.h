// NVFP4: 64 elements in 36 bytes, 4.5 bits a weight. Plain layout and reference decoder; pure, any thread.
//
// value = (scale / 2) * kMxfp4Doubled[q], one scale for 16 elements, an e4m3 whose sign is not used. Each 16 elements
// own 8 bytes of qs: byte j carries element j in its low and element j + 8 in its high nibble.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/mxfp4.h"

namespace tern {

struct [[gnu::packed]] BlockNVFP4 {
  uint8_t scales[4];
  uint8_t qs[32];
};
static_assert(sizeof(BlockNVFP4) == 36);

// Half of a scale, as the gguf package has it: 0x7f counts as zero, and what differs from it in the sign alone as 480.
// Times 2^10 it is a whole number.
static inline float half_scale_nvfp4(uint8_t bits) {
  if (bits == 0x7f) return 0.0f;
  const int exponent = bits >> 3 & 15, mantissa = bits & 7;
  const int whole = exponent == 0 ? mantissa : (8 + mantissa) << (exponent - 1);
  return static_cast<float>(whole) * 0x1p-10f;
}

// Element `k` of a block: at most 6 significant bits, so bf16 holds it.
static inline float value_nvfp4(const BlockNVFP4& block, int64_t k) {
  const int code = block.qs[k / 16 * 8 + k % 8] >> (k % 16 / 8 * 4) & 15;
  return half_scale_nvfp4(block.scales[k / 16]) * static_cast<float>(kMxfp4Doubled[code]);
}

// out: [blocks * 64]
void decode_nvfp4(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
