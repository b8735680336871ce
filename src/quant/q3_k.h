// Q3_K: 256 elements in 110 bytes, 3.4375 bits a weight. Plain layout and reference decoder; pure, any thread.
//
// value = (d * (scale - 32)) * (q2 - (high ? 0 : 4)), one 6-bit scale for 16 elements. q2: as in Q2_K. Bit c of
// hmask[l] is `high` of element 32 * c + l.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern {

struct [[gnu::packed]] BlockQ3_K {
  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];  // 16 six-bit scales, see scale_q3_k
  uint16_t d;          // f16
};
static_assert(sizeof(BlockQ3_K) == 110);

// Scale j of 16, minus 32: in [-32, 31]. Low nibbles of bytes 0..7 are scales 0..7, high nibbles scales 8..15; the top
// two bits of scale j lie in byte 8 + j % 4 at shift 2 * (j / 4).
int scale_q3_k(const uint8_t scales[12], int j);

// out: [blocks * 256]
void decode_q3_k(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
