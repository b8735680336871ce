#include "quant/q4_k.h"

#include "core/half.h"

namespace tern {

ScaleMinK scale_min_k(const uint8_t scales[12], int j) {
  if (j < 4) return {static_cast<uint8_t>(scales[j] & 63), static_cast<uint8_t>(scales[j + 4] & 63)};
  const int scale = (scales[j + 4] & 15) | (scales[j - 4] >> 6) << 4;
  const int minimum = (scales[j + 4] >> 4) | (scales[j] >> 6) << 4;
  return {static_cast<uint8_t>(scale), static_cast<uint8_t>(minimum)};
}

void decode_q4_k(const std::byte* data, int64_t blocks, float* out) {
  const auto* block = reinterpret_cast<const BlockQ4_K*>(data);
  for (int64_t b = 0; b < blocks; ++b, ++block, out += 256) {
    const float d = f32_from_f16(block->d);
    const float dmin = f32_from_f16(block->dmin);
    for (int group = 0; group < 8; ++group) {  // 32 elements each
      const ScaleMinK packed = scale_min_k(block->scales, group);
      const float scale = d * static_cast<float>(packed.scale);
      const float minimum = dmin * static_cast<float>(packed.minimum);
      const int shift = group % 2 * 4;
      const uint8_t* qs = block->qs + group / 2 * 32;
      for (int j = 0; j < 32; ++j) out[group * 32 + j] = scale * static_cast<float>((qs[j] >> shift) & 15) - minimum;
    }
  }
}

}  // namespace tern
