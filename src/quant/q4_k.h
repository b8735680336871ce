// Q4_K: 256 elements in 144 bytes, 4.5 bits a weight. Plain layout and reference decoder; pure, any thread.
//
// value = (d * scale) * q - dmin * minimum, one 6-bit scale and minimum for 32 elements. Each 64 elements own 32 bytes
// of qs: the low nibbles are the first 32 elements, the high nibbles the next 32.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern {

struct [[gnu::packed]] BlockQ4_K {
  uint16_t d, dmin;    // f16
  uint8_t scales[12];  // 8 six-bit scales and minima, see scale_min_k
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ4_K) == 144);

struct ScaleMinK {
  uint8_t scale, minimum;  // in [0, 63]
};

// Scale and minimum j of 8, of Q4_K and Q5_K. For j < 4 the low six bits of bytes j and j + 4; above, the two nibbles
// of byte j + 4 under the top two bits of bytes j - 4 and j.
ScaleMinK scale_min_k(const uint8_t scales[12], int j);

// out: [blocks * 256]
void decode_q4_k(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
