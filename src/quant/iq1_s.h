// IQ1_S: 256 elements in 50 bytes, 1.5625 bits a weight. Plain layout, taking apart and reference decoder; pure,
// any thread.
//
// value = (d * (2 * scale + 1)) * (grid +- 1/8): for each 32 elements a 3-bit scale and the sign of the eighth, for
// each 8 an 11-bit number of an entry of the grid, whose upper 3 bits are in qh.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/codebook.h"
#include "quant/codebook_grids.h"

namespace tern {

struct [[gnu::packed]] BlockIQ1_S {
  uint16_t d;      // f16
  uint8_t qs[32];  // the lower bits of 32 numbers
  uint16_t qh[8];  // of 32 elements: 4 times 3 upper bits, scale from bit 12 on, sign in bit 15
};
static_assert(sizeof(BlockIQ1_S) == 50);

static inline void take_apart_iq1_s(const BlockIQ1_S& block, CodebookParts& parts) {
  parts.d = block.d;
  for (int j = 0; j < 8; ++j) {
    const uint32_t high = block.qh[j];
    parts.scales[2 * j] = parts.scales[2 * j + 1] = static_cast<int8_t>(2 * (high >> 12 & 7) + 1);
    for (int i = 0; i < 4; ++i) {
      const uint32_t number = block.qs[4 * j + i] | (high >> 3 * i & 7) << 8;
      take_iq1_codes(kGridIq1[number], (high & 0x8000) != 0, parts.codes + 32 * j + 8 * i);
    }
  }
}

// out: [blocks * 256]
void decode_iq1_s(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
