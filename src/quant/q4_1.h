// Q4_1: 32 elements in 20 bytes, 5 bits a weight. Plain layout and reference decoder; pure, any thread.
//
// value = d * q + m, the product rounded before the sum; byte j of qs carries element j in its low and element j + 16
// in its high nibble.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern {

struct [[gnu::packed]] BlockQ4_1 {
  uint16_t d, m;  // f16
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_1) == 20);

// out: [blocks * 32]
void decode_q4_1(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
