// U4_ZERO: 32 elements in 20 bytes, 5 bits a weight: what GPTQ and AWQ weights with zero points become, exactly. Not a
// GGUF type. Plain layout and reference decoder; pure, any thread.
//
// value = d * q + d * m, m a small whole number, minus the zero point, so that nothing is rounded. Byte j of qs carries
// element j in its low and element j + 16 in its high nibble.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern {

struct [[gnu::packed]] BlockU4Zero {
  uint16_t d, m;  // f16
  uint8_t qs[16];
};
static_assert(sizeof(BlockU4Zero) == 20);

// out: [blocks * 32]
void decode_u4_zero(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
