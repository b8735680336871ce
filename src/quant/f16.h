// F16: IEEE 754 half precision, 2 bytes an element. A block is one element. Reference decoder; pure, any thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern {

struct [[gnu::packed]] BlockF16 {
  uint16_t bits;
};
static_assert(sizeof(BlockF16) == 2);

// out: [blocks]
void decode_f16(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
