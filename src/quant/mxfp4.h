// MXFP4: 32 elements in 17 bytes, 4.25 bits a weight (OCP microscaling formats 1.0, as GGUF stores it). Plain layout,
// table and reference decoder; pure, any thread.
//
// value = 2^(e - 128) * kMxfp4Doubled[q]: the E2M1 values doubled are whole numbers, and the scale is halved for it.
// Byte j of qs carries element j in its low and element j + 16 in its high nibble.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern {

constexpr int8_t kMxfp4Doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

struct [[gnu::packed]] BlockMXFP4 {
  uint8_t e;  // E8M0
  uint8_t qs[16];
};
static_assert(sizeof(BlockMXFP4) == 17);

// 2^(e - 128) as bf16, exact for every e: 2^-128 and 2^-127 are subnormal, and 255, which the standard calls not a
// number, is 2^127 as for the gguf package.
constexpr uint16_t half_scale_mxfp4(uint8_t e) { return static_cast<uint16_t>(e < 2 ? 0x20 << e : (e - 1) << 7); }

// out: [blocks * 32]
void decode_mxfp4(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
