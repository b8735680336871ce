#include "quant/q5_k.h"

#include "core/half.h"
#include "quant/q4_k.h"

namespace tern {

void decode_q5_k(const std::byte* data, int64_t blocks, float* out) {
  const auto* block = reinterpret_cast<const BlockQ5_K*>(data);
  for (int64_t b = 0; b < blocks; ++b, ++block, out += 256) {
    const float d = f32_from_f16(block->d);
    const float dmin = f32_from_f16(block->dmin);
    for (int group = 0; group < 8; ++group) {  // 32 elements each
      const ScaleMinK packed = scale_min_k(block->scales, group);
      const float scale = d * static_cast<float>(packed.scale);
      const float minimum = dmin * static_cast<float>(packed.minimum);
      const int shift = group % 2 * 4;
      const uint8_t* qs = block->qs + group / 2 * 32;
      for (int j = 0; j < 32; ++j) {
        const int q = ((qs[j] >> shift) & 15) | ((block->qh[j] >> group) & 1) << 4;
        out[group * 32 + j] = scale * static_cast<float>(q) - minimum;
      }
    }
  }
}

}  // namespace tern
