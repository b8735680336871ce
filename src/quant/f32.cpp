#include "quant/f32.h"

#include <cstring>

namespace tern {

void decode_f32(const std::byte* data, int64_t blocks, float* out) {
  if (blocks > 0) std::memcpy(out, data, static_cast<size_t>(blocks) * sizeof(float));
}

}  // namespace tern
