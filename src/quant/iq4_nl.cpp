#include "quant/iq4_nl.h"

#include "core/half.h"

namespace tern {

void decode_iq4_nl(const std::byte* data, int64_t blocks, float* out) {
  const auto* block = reinterpret_cast<const BlockIQ4_NL*>(data);
  for (int64_t b = 0; b < blocks; ++b, ++block, out += 32) {
    const float d = f32_from_f16(block->d);
    for (int j = 0; j < 16; ++j) {
      out[j] = d * static_cast<float>(kIq4Values[block->qs[j] & 15]);
      out[j + 16] = d * static_cast<float>(kIq4Values[block->qs[j] >> 4]);
    }
  }
}

}  // namespace tern
