// Q5_0: 32 elements in 22 bytes, 5.5 bits a weight. Plain layout and reference decoder; pure, any thread.
//
// value = d * (q - 16); byte j of qs carries the low four bits of elements j (low nibble) and j + 16 (high nibble), bit
// j of qh is the fifth bit of element j.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern {

struct [[gnu::packed]] BlockQ5_0 {
  uint16_t d;  // f16
  uint32_t qh;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_0) == 22);

// out: [blocks * 32]
void decode_q5_0(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
