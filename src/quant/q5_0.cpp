#include "quant/q5_0.h"

#include "core/half.h"

namespace tern {

void decode_q5_0(const std::byte* data, int64_t blocks, float* out) {
  const auto* block = reinterpret_cast<const BlockQ5_0*>(data);
  for (int64_t b = 0; b < blocks; ++b, ++block, out += 32) {
    const float d = f32_from_f16(block->d);
    const uint32_t high = block->qh;
    for (int j = 0; j < 16; ++j) {
      const uint32_t first = (block->qs[j] & 15u) | ((high >> j) & 1u) << 4;
      const uint32_t second = (block->qs[j] >> 4) | ((high >> (j + 16)) & 1u) << 4;
      out[j] = d * static_cast<float>(static_cast<int>(first) - 16);
      out[j + 16] = d * static_cast<float>(static_cast<int>(second) - 16);
    }
  }
}

}  // namespace tern
