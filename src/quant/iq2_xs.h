// IQ2_XS: 256 elements in 74 bytes, 2.3125 bits a weight. Plain layout, taking apart and reference decoder; pure,
// any thread.
//
// value = (d * (scale + 1/2) / 4) * +-grid: for each 8 elements a 9-bit number of an entry of the grid and seven signs,
// for each 16 a 4-bit scale.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/codebook.h"
#include "quant/codebook_grids.h"

namespace tern {

struct [[gnu::packed]] BlockIQ2_XS {
  uint16_t d;         // f16
  uint16_t qs[32];    // the number, signs from bit 9 on
  uint8_t scales[8];  // two each, the first one in the low nibble
};
static_assert(sizeof(BlockIQ2_XS) == 74);

static inline void take_apart_iq2_xs(const BlockIQ2_XS& block, CodebookParts& parts) {
  parts.d = block.d;
  for (int j = 0; j < 16; ++j) {
    parts.scales[j] = static_cast<int8_t>(2 * (block.scales[j / 2] >> (j % 2 * 4) & 15) + 1);
  }
  for (int j = 0; j < 32; ++j) {
    take_iq2_codes(kGridIq2Xs[block.qs[j] & 511], signs_of_seven(block.qs[j] >> 9), parts.codes + 8 * j);
  }
}

// out: [blocks * 256]
void decode_iq2_xs(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
