// F8_E4M3: 32 elements in 36 bytes, 9 bits a weight: what FP8 checkpoints become, whose scales lie in tensors of their
// own (a number a tensor, a row, or 128 x 128). Not a GGUF type. Plain layout and reference decoder; pure, any thread.
//
// value = d * q, q an e4m3 that is a number (core/fp8.h).
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern {

struct [[gnu::packed]] BlockF8E4M3 {
  float d;
  uint8_t qs[32];
};
static_assert(sizeof(BlockF8E4M3) == 36);

// out: [blocks * 32]
void decode_f8_e4m3(const std::byte* data, int64_t blocks, float* out);

}  // namespace tern
