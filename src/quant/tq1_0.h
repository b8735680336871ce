// TQ1_0: 256 elements in 54 bytes, 1.6875 bits a weight. Plain layout, taking apart and reference decoder; pure,
// any thread.
//
// value = d * (digit - 1), five digits to the base 3 in a byte: digit i is the integer part of 3 times the fraction
// that 3^i times the byte over 256 leaves. 32 bytes carry the first 160 elements, digit by digit, 16 the next 80, 4
// bytes with four digits the last 16.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/codebook.h"

namespace tern {

struct [[gnu::packed]] BlockTQ1_0 {
  uint8_t qs[48];
  uint8_t qh[4];
  uint16_t d;  // f16
};
static_assert(sizeof(BlockTQ1_0) == 54);

static inline void take_apart_tq1_0(const BlockTQ1_0& block, CodebookParts& parts) {
  constexpr uint8_t kPowers[5] = {1, 3, 9, 27, 81};
  const auto code = [&](uint8_t byte, int digit) {
    const auto fraction = static_cast<uint8_t>(byte * kPowers[digit]);
    return static_cast<uint8_t>(NarrowCodebook::kTernary + (fraction * 3 >> 8));
  };
  parts.d = block.d;
  for (int8_t& scale : parts.scales) scale = 8;  // of eighths
  uint8_t* codes = parts.codes;
  for (int digit = 0; digit < 5; ++digit) {
    for (int j = 0; j < 32; ++j) *codes++ = code(block.qs[j], digit);
  }
  for (int digit = 0; digit < 5; ++digit) {
    for (int j = 32; j < 48; ++j) *codes++ = code(block.qs[j], digit);
  }
  for (int digit = 0; digit < 4; ++digit) {
    for (int j = 0; j < 4; ++j) *codes++ = code(block.qh[j], digit);
  }
}

// out: [blocks * 256]
void decode_tq1_0(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
