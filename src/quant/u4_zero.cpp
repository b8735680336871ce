#include "quant/u4_zero.h"

#include "core/half.h"

namespace tern {

void decode_u4_zero(const std::byte* data, int64_t blocks, float* out) {
  const auto* block = reinterpret_cast<const BlockU4Zero*>(data);
  for (int64_t b = 0; b < blocks; ++b, ++block, out += 32) {
    const float d = f32_from_f16(block->d);
    const float minimum = d * f32_from_f16(block->m);
    for (int j = 0; j < 16; ++j) {
      out[j] = d * static_cast<float>(block->qs[j] & 15) + minimum;
      out[j + 16] = d * static_cast<float>(block->qs[j] >> 4) + minimum;
    }
  }
}

}  // namespace tern
