// IQ2_S: 256 elements in 82 bytes, 2.5625 bits a weight. Plain layout, taking apart and reference decoder; pure,
// any thread.
//
// value = (d * (scale + 1/2) / 4) * +-grid: for each 8 elements a 10-bit number of an entry of the grid and eight
// signs, for each 16 a 4-bit scale.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/codebook.h"
#include "quant/codebook_grids.h"

namespace tern {

struct [[gnu::packed]] BlockIQ2_S {
  uint16_t d;         // f16
  uint8_t qs[32];     // the lower bits of 32 numbers
  uint8_t signs[32];  // of 8 elements each
  uint8_t qh[8];      // the upper bits of four numbers each
  uint8_t scales[8];  // two each, the first one in the low nibble
};
static_assert(sizeof(BlockIQ2_S) == 82);

static inline void take_apart_iq2_s(const BlockIQ2_S& block, CodebookParts& parts) {
  parts.d = block.d;
  for (int j = 0; j < 16; ++j) {
    parts.scales[j] = static_cast<int8_t>(2 * (block.scales[j / 2] >> (j % 2 * 4) & 15) + 1);
  }
  for (int j = 0; j < 32; ++j) {
    const int number = block.qs[j] | (block.qh[j / 4] >> (j % 4 * 2) & 3) << 8;
    take_iq2_codes(kGridIq2S[number], block.signs[j], parts.codes + 8 * j);
  }
}

// out: [blocks * 256]
void decode_iq2_s(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
