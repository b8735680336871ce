// BF16: the upper half of an f32, 2 bytes an element. A block is one element. Reference decoder; pure, any thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern {

struct [[gnu::packed]] BlockBF16 {
  uint16_t bits;
};
static_assert(sizeof(BlockBF16) == 2);

// out: [blocks]
void decode_bf16(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
