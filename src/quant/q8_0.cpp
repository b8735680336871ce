#include "quant/q8_0.h"

#include "core/half.h"

namespace tern {

void decode_q8_0(const std::byte* data, int64_t blocks, float* out) {
  const auto* block = reinterpret_cast<const BlockQ8_0*>(data);
  for (int64_t b = 0; b < blocks; ++b, ++block, out += 32) {
    const float d = f32_from_f16(block->d);
    for (int j = 0; j < 32; ++j) out[j] = static_cast<float>(block->qs[j]) * d;
  }
}

}  // namespace tern
