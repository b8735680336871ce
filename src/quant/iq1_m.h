// IQ1_M: 256 elements in 56 bytes, 1.75 bits a weight. Plain layout, taking apart and reference decoder; pure,
// any thread.
//
// value = (d * (2 * scale + 1)) * (grid +- 1/8): for each 16 elements a 3-bit scale, for each 8 the sign of the eighth
// and an 11-bit number of an entry of the grid, whose upper 3 bits are in qh. d is spread over the top bits of the
// scales.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/codebook.h"
#include "quant/codebook_grids.h"

namespace tern {

struct [[gnu::packed]] BlockIQ1_M {
  uint8_t qs[32];      // the lower bits of 32 numbers
  uint8_t qh[16];      // a nibble a number: 3 upper bits, and the sign
  uint16_t scales[4];  // 4 scales each, from bit 0 on; above them 4 bits of d, the lowest first
};
static_assert(sizeof(BlockIQ1_M) == 56);

static inline void take_apart_iq1_m(const BlockIQ1_M& block, CodebookParts& parts) {
  parts.d = 0;
  for (int j = 0; j < 4; ++j) {
    const uint32_t packed = block.scales[j];
    parts.d = static_cast<uint16_t>(parts.d | (packed >> 12) << 4 * j);
    for (int i = 0; i < 4; ++i) parts.scales[4 * j + i] = static_cast<int8_t>(2 * (packed >> 3 * i & 7) + 1);
  }
  for (int j = 0; j < 32; ++j) {
    const uint32_t high = block.qh[j / 2] >> (j % 2 * 4);
    take_iq1_codes(kGridIq1[block.qs[j] | (high & 7) << 8], (high & 8) != 0, parts.codes + 8 * j);
  }
}

// out: [blocks * 256]
void decode_iq1_m(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
