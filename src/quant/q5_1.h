// Q5_1: 32 elements in 24 bytes, 6 bits a weight. Plain layout and reference decoder; pure, any thread.
//
// value = d * q + m, the product rounded before the sum; byte j of qs carries the low four bits of elements j (low
// nibble) and j + 16 (high nibble), bit j of qh is the fifth bit of element j.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern {

struct [[gnu::packed]] BlockQ5_1 {
  uint16_t d, m;  // f16
  uint32_t qh;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_1) == 24);

// out: [blocks * 32]
void decode_q5_1(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
