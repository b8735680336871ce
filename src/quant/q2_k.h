// Q2_K: 256 elements in 84 bytes, 2.625 bits a weight. Plain layout and reference decoder; pure, any thread.
//
// value = (d * scale) * q - dmin * minimum, one 4-bit scale and minimum for 16 elements. Each half of 128 elements owns
// 32 bytes of qs: byte l carries elements l, l + 32, l + 64 and l + 96 at shifts 0, 2, 4 and 6.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern {

struct [[gnu::packed]] BlockQ2_K {
  uint8_t scales[16];  // low nibble: scale, high nibble: minimum
  uint8_t qs[64];
  uint16_t d, dmin;  // f16
};
static_assert(sizeof(BlockQ2_K) == 84);

// out: [blocks * 256]
void decode_q2_k(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
