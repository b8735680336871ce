#include "quant/iq4_xs.h"

#include "core/half.h"
#include "quant/iq4_nl.h"

namespace tern {

int scale_iq4_xs(uint16_t scales_h, const uint8_t scales_l[4], int j) {
  const int low = (scales_l[j / 2] >> (j % 2 * 4)) & 15;
  const int high = (scales_h >> (2 * j)) & 3;
  return (low | high << 4) - 32;
}

void decode_iq4_xs(const std::byte* data, int64_t blocks, float* out) {
  const auto* block = reinterpret_cast<const BlockIQ4_XS*>(data);
  for (int64_t b = 0; b < blocks; ++b, ++block) {
    const float d = f32_from_f16(block->d);
    for (int group = 0; group < 8; ++group, out += 32) {
      const float scale = d * static_cast<float>(scale_iq4_xs(block->scales_h, block->scales_l, group));
      const uint8_t* qs = block->qs + group * 16;
      for (int j = 0; j < 16; ++j) {
        out[j] = scale * static_cast<float>(kIq4Values[qs[j] & 15]);
        out[j + 16] = scale * static_cast<float>(kIq4Values[qs[j] >> 4]);
      }
    }
  }
}

}  // namespace tern
