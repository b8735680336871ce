// IQ3_XXS: 256 elements in 98 bytes, 3.0625 bits a weight. Plain layout, taking apart and reference decoder; pure,
// any thread.
//
// value = (d * (scale + 1/2) / 2) * +-grid: for each 4 elements the number of an entry of the grid, for each 32 a word:
// a 4-bit scale above four times seven signs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/codebook.h"
#include "quant/codebook_grids.h"

namespace tern {

struct [[gnu::packed]] BlockIQ3_XXS {
  uint16_t d;          // f16
  uint8_t qs[64];      // numbers
  uint16_t signs[16];  // of 32 elements two: the lower half of the word, and the upper one
};
static_assert(sizeof(BlockIQ3_XXS) == 98);

static inline void take_apart_iq3_xxs(const BlockIQ3_XXS& block, CodebookParts& parts) {
  parts.d = block.d;
  for (int j = 0; j < 8; ++j) {
    const uint32_t word = block.signs[2 * j] | static_cast<uint32_t>(block.signs[2 * j + 1]) << 16;
    parts.scales[2 * j] = parts.scales[2 * j + 1] = static_cast<int8_t>(2 * (word >> 28) + 1);
    for (int i = 0; i < 8; ++i) {
      const int signs = signs_of_seven(word >> (i / 2 * 7) & 127) >> (i % 2 * 4);
      take_iq3_codes(kGridIq3Xxs[block.qs[8 * j + i]], signs, parts.codes + 32 * j + 4 * i);
    }
  }
}

// out: [blocks * 256]
void decode_iq3_xxs(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
