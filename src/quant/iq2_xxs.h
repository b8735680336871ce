// IQ2_XXS: 256 elements in 66 bytes, 2.0625 bits a weight. Plain layout, taking apart and reference decoder; pure,
// any thread.
//
// value = (d * (scale + 1/2) / 4) * +-grid: for each 32 elements two words: the numbers of four entries of the grid; a
// 4-bit scale above four times seven signs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/codebook.h"
#include "quant/codebook_grids.h"

namespace tern {

struct [[gnu::packed]] BlockIQ2_XXS {
  uint16_t d;       // f16
  uint16_t qs[32];  // of 32 elements: two of numbers, two of signs and scale
};
static_assert(sizeof(BlockIQ2_XXS) == 66);

static inline void take_apart_iq2_xxs(const BlockIQ2_XXS& block, CodebookParts& parts) {
  parts.d = block.d;
  for (int j = 0; j < 8; ++j) {
    const uint32_t numbers = block.qs[4 * j] | static_cast<uint32_t>(block.qs[4 * j + 1]) << 16;
    const uint32_t signs = block.qs[4 * j + 2] | static_cast<uint32_t>(block.qs[4 * j + 3]) << 16;
    parts.scales[2 * j] = parts.scales[2 * j + 1] = static_cast<int8_t>(2 * (signs >> 28) + 1);
    for (int i = 0; i < 4; ++i) {
      const uint16_t entry = kGridIq2Xxs[numbers >> 8 * i & 255];
      take_iq2_codes(entry, signs_of_seven(signs >> 7 * i & 127), parts.codes + 32 * j + 8 * i);
    }
  }
}

// out: [blocks * 256]
void decode_iq2_xxs(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
