#include "quant/q5_1.h"

#include "core/half.h"

namespace tern {

void decode_q5_1(const std::byte* data, int64_t blocks, float* out) {
  const auto* block = reinterpret_cast<const BlockQ5_1*>(data);
  for (int64_t b = 0; b < blocks; ++b, ++block, out += 32) {
    const float d = f32_from_f16(block->d);
    const float m = f32_from_f16(block->m);
    const uint32_t high = block->qh;
    for (int j = 0; j < 16; ++j) {
      const uint32_t first = (block->qs[j] & 15u) | ((high >> j) & 1u) << 4;
      const uint32_t second = (block->qs[j] >> 4) | ((high >> (j + 16)) & 1u) << 4;
      out[j] = d * static_cast<float>(first) + m;
      out[j + 16] = d * static_cast<float>(second) + m;
    }
  }
}

}  // namespace tern
