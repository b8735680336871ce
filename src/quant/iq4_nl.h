// IQ4_NL: 32 elements in 18 bytes, 4.5 bits a weight. Plain layout, table and reference decoder; pure, any thread.
//
// value = d * kIq4Values[q]; byte j of qs carries element j in its low and element j + 16 in its high nibble.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern {

// What the codes of IQ4_NL and IQ4_XS stand for: finer near zero, where weights are.
constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

struct [[gnu::packed]] BlockIQ4_NL {
  uint16_t d;  // f16
  uint8_t qs[16];
};
static_assert(sizeof(BlockIQ4_NL) == 18);

// out: [blocks * 32]
void decode_iq4_nl(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
