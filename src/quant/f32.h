// F32: IEEE 754 single precision, 4 bytes an element. A block is one element. Reference decoder; pure, any thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern {

struct [[gnu::packed]] BlockF32 {
  float value;
};
static_assert(sizeof(BlockF32) == 4);

// out: [blocks]
void decode_f32(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
