#include "quant/q3_k.h"

#include "core/half.h"

namespace tern {

int scale_q3_k(const uint8_t scales[12], int j) {
  const int low = j < 8 ? scales[j] & 15 : scales[j - 8] >> 4;
  const int high = (scales[8 + j % 4] >> (2 * (j / 4))) & 3;
  return (low | high << 4) - 32;
}

void decode_q3_k(const std::byte* data, int64_t blocks, float* out) {
  const auto* block = reinterpret_cast<const BlockQ3_K*>(data);
  for (int64_t b = 0; b < blocks; ++b, ++block, out += 256) {
    const float d = f32_from_f16(block->d);
    for (int group = 0; group < 16; ++group) {  // 16 elements each
      const float scale = d * static_cast<float>(scale_q3_k(block->scales, group));
      const int shift = 2 * (group % 8 / 2);
      const int half = group % 2 * 16;
      const uint8_t* qs = block->qs + group / 8 * 32 + half;
      for (int j = 0; j < 16; ++j) {
        const int high = (block->hmask[half + j] >> (group / 2)) & 1;
        out[group * 16 + j] = scale * static_cast<float>(((qs[j] >> shift) & 3) - (high ? 0 : 4));
      }
    }
  }
}

}  // namespace tern
