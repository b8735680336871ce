// TQ2_0: 256 elements in 66 bytes, 2.0625 bits a weight. Plain layout, taking apart and reference decoder; pure,
// any thread.
//
// value = d * (q - 1). Each 128 elements own 32 bytes of qs: byte j carries the elements j, j + 32, j + 64 and j + 96
// at shifts 0, 2, 4 and 6.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/codebook.h"

namespace tern {

struct [[gnu::packed]] BlockTQ2_0 {
  uint8_t qs[64];
  uint16_t d;  // f16
};
static_assert(sizeof(BlockTQ2_0) == 66);

static inline void take_apart_tq2_0(const BlockTQ2_0& block, CodebookParts& parts) {
  parts.d = block.d;
  for (int8_t& scale : parts.scales) scale = 8;  // of eighths
  for (int k = 0; k < 256; ++k) {
    const int q = block.qs[k / 128 * 32 + k % 32] >> (k % 128 / 32 * 2) & 3;
    parts.codes[k] = static_cast<uint8_t>(NarrowCodebook::kTernary + q);
  }
}

// out: [blocks * 256]
void decode_tq2_0(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
