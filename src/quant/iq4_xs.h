// IQ4_XS: 256 elements in 136 bytes, 4.25 bits a weight. Plain layout and reference decoder; pure, any thread.
//
// value = (d * (scale - 32)) * kIq4Values[q], one 6-bit scale for 32 elements. Each 32 elements own 16 bytes of qs:
// byte j carries element j in its low and element j + 16 in its high nibble.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern {

struct [[gnu::packed]] BlockIQ4_XS {
  uint16_t d;           // f16
  uint16_t scales_h;    // the upper two bits of scale j at shift 2 * j
  uint8_t scales_l[4];  // the lower four bits: scale 2 * i in the low nibble, 2 * i + 1 in the high one
  uint8_t qs[128];
};
static_assert(sizeof(BlockIQ4_XS) == 136);

// Scale j of 8, minus 32: in [-32, 31].
int scale_iq4_xs(uint16_t scales_h, const uint8_t scales_l[4], int j);

// out: [blocks * 256]
void decode_iq4_xs(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
