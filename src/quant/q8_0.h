// Q8_0: 32 elements in 34 bytes, 8.5 bits a weight. Plain layout and reference decoder; pure, any thread.
//
// value = d * q, q signed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern {

struct [[gnu::packed]] BlockQ8_0 {
  uint16_t d;  // f16
  int8_t qs[32];
};
static_assert(sizeof(BlockQ8_0) == 34);

// out: [blocks * 32]
void decode_q8_0(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
