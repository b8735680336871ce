#include "quant/f8_e4m3.h"

#include "core/fp8.h"

namespace tern {

void decode_f8_e4m3(const std::byte* data, int64_t blocks, float* out) {
  const auto* block = reinterpret_cast<const BlockF8E4M3*>(data);
  for (int64_t b = 0; b < blocks; ++b, ++block, out += 32) {
    for (int j = 0; j < 32; ++j) out[j] = block->d * f32_from_e4m3(block->qs[j]);
  }
}

}  // namespace tern
