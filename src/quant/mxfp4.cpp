#include "quant/mxfp4.h"

#include "core/half.h"

namespace tern {

void decode_mxfp4(const std::byte* data, int64_t blocks, float* out) {
  const auto* block = reinterpret_cast<const BlockMXFP4*>(data);
  for (int64_t b = 0; b < blocks; ++b, ++block, out += 32) {
    const float scale = f32_from_bf16(half_scale_mxfp4(block->e));
    for (int j = 0; j < 16; ++j) {
      out[j] = scale * static_cast<float>(kMxfp4Doubled[block->qs[j] & 15]);
      out[j + 16] = scale * static_cast<float>(kMxfp4Doubled[block->qs[j] >> 4]);
    }
  }
}

}  // namespace tern
