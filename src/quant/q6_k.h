// Q6_K: 256 elements in 210 bytes, 6.5625 bits a weight. Plain layout and reference decoder; pure, any thread.
//
// value = (d * scale) * (q - 32), one signed 8-bit scale for 16 elements. Each half of 128 elements owns 64 bytes of ql
// and 32 of qh: ql[l] carries the low four bits of elements l and l + 64, ql[l + 32] those of l + 32 and l + 96; qh[l]
// the high two bits of elements l, l + 32, l + 64 and l + 96 at shifts 0, 2, 4 and 6.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern {

struct [[gnu::packed]] BlockQ6_K {
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  uint16_t d;  // f16
};
static_assert(sizeof(BlockQ6_K) == 210);

// out: [blocks * 256]
void decode_q6_k(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
