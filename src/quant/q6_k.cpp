#include "quant/q6_k.h"

#include "core/half.h"

namespace tern {

void decode_q6_k(const std::byte* data, int64_t blocks, float* out) {
  const auto* block = reinterpret_cast<const BlockQ6_K*>(data);
  for (int64_t b = 0; b < blocks; ++b, ++block, out += 256) {
    const float d = f32_from_f16(block->d);
    for (int group = 0; group < 16; ++group) {  // 16 elements each
      const float scale = d * static_cast<float>(block->scales[group]);
      const int plane = group % 8 / 2;  // which 32 of the half's 128 elements
      const int column = group % 2 * 16;
      const uint8_t* ql = block->ql + group / 8 * 64 + plane % 2 * 32 + column;
      const uint8_t* qh = block->qh + group / 8 * 32 + column;
      for (int j = 0; j < 16; ++j) {
        const int q = ((ql[j] >> (plane / 2 * 4)) & 15) | ((qh[j] >> (plane * 2)) & 3) << 4;
        out[group * 16 + j] = scale * static_cast<float>(q - 32);
      }
    }
  }
}

}  // namespace tern
