// IQ3_S: 256 elements in 110 bytes, 3.4375 bits a weight. Plain layout, taking apart and reference decoder; pure,
// any thread.
//
// value = (d * (2 * scale + 1)) * +-grid: for each 4 elements a 9-bit number of an entry of the grid, whose upper bit
// is in qh, for each 32 a 4-bit scale.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/codebook.h"
#include "quant/codebook_grids.h"

namespace tern {

struct [[gnu::packed]] BlockIQ3_S {
  uint16_t d;         // f16
  uint8_t qs[64];     // the lower bits of 64 numbers
  uint8_t qh[8];      // the upper bits of eight numbers each
  uint8_t signs[32];  // of 8 elements each
  uint8_t scales[4];  // two each, the first one in the low nibble
};
static_assert(sizeof(BlockIQ3_S) == 110);

static inline void take_apart_iq3_s(const BlockIQ3_S& block, CodebookParts& parts) {
  parts.d = block.d;
  for (int j = 0; j < 16; ++j) {
    parts.scales[j] = static_cast<int8_t>(2 * (block.scales[j / 4] >> (j / 2 % 2 * 4) & 15) + 1);
  }
  for (int j = 0; j < 64; ++j) {
    const int number = block.qs[j] | (block.qh[j / 8] >> j % 8 & 1) << 8;
    take_iq3_codes(kGridIq3S[number], block.signs[j / 2] >> (j % 2 * 4), parts.codes + 4 * j);
  }
}

// out: [blocks * 256]
void decode_iq3_s(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
