// Q5_K: 256 elements in 176 bytes, 5.5 bits a weight. Plain layout and reference decoder; pure, any thread.
//
// value = (d * scale) * q - dmin * minimum, one 6-bit scale and minimum for 32 elements (packed as in Q4_K:
// scale_min_k). qs: the low four bits, as in Q4_K. Bit g of qh[l] is the fifth bit of element 32 * g + l.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern {

struct [[gnu::packed]] BlockQ5_K {
  uint16_t d, dmin;  // f16
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ5_K) == 176);

// out: [blocks * 256]
void decode_q5_k(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
