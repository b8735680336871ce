#include "quant/bf16.h"

#include "core/half.h"

namespace tern {

void decode_bf16(const std::byte* data, int64_t blocks, float* out) {
  const auto* block = reinterpret_cast<const BlockBF16*>(data);
  for (int64_t b = 0; b < blocks; ++b) out[b] = f32_from_bf16(block[b].bits);
}

}  // namespace tern
