// The reference decoder of the formats that codebook.h takes apart. Pure, any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/half.h"
#include "quant/codebook.h"

namespace tern {

// out: [blocks * 256]
template <typename Codebook, typename Block>
void decode_codebook(const std::byte* data, int64_t blocks, void (*take_apart)(const Block&, CodebookParts&),
                     float* out) {
  const auto* block = reinterpret_cast<const Block*>(data);
  for (int64_t b = 0; b < blocks; ++b, ++block, out += 256) {
    CodebookParts parts;
    take_apart(*block, parts);
    const float d = f32_from_f16(parts.d) * Codebook::kFactor;
    for (int k = 0; k < 256; ++k) {
      const float scale = d * static_cast<float>(parts.scales[k / 16]);
      out[k] = scale * static_cast<float>(Codebook::kValues[parts.codes[k]]);
    }
  }
}

}  // namespace tern
