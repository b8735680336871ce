// Q4_0: 32 elements in 18 bytes, 4.5 bits a weight. Plain layout and reference decoder; pure, any thread.
//
// value = d * (q - 8); byte j of qs carries element j in its low and element j + 16 in its high nibble.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern {

struct [[gnu::packed]] BlockQ4_0 {
  uint16_t d;  // f16
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_0) == 18);

// out: [blocks * 32]
void decode_q4_0(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
