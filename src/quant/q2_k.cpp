#include "quant/q2_k.h"

#include "core/half.h"

namespace tern {

void decode_q2_k(const std::byte* data, int64_t blocks, float* out) {
  const auto* block = reinterpret_cast<const BlockQ2_K*>(data);
  for (int64_t b = 0; b < blocks; ++b, ++block, out += 256) {
    const float d = f32_from_f16(block->d);
    const float dmin = f32_from_f16(block->dmin);
    for (int group = 0; group < 16; ++group) {  // 16 elements each
      const float scale = d * static_cast<float>(block->scales[group] & 15);
      const float minimum = dmin * static_cast<float>(block->scales[group] >> 4);
      const int shift = 2 * (group % 8 / 2);
      const uint8_t* qs = block->qs + group / 8 * 32 + group % 2 * 16;
      for (int j = 0; j < 16; ++j) out[group * 16 + j] = scale * static_cast<float>((qs[j] >> shift) & 3) - minimum;
    }
  }
}

}  // namespace tern
