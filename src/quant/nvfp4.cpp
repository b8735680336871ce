#include "quant/nvfp4.h"

namespace tern {

void decode_nvfp4(const std::byte* data, int64_t blocks, float* out) {
  const auto* block = reinterpret_cast<const BlockNVFP4*>(data);
  for (int64_t b = 0; b < blocks; ++b, ++block, out += 64) {
    for (int64_t k = 0; k < 64; ++k) out[k] = value_nvfp4(*block, k);
  }
}

}  // namespace tern
