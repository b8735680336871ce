// 8-bit floats on Hopper, whose matrix unit multiplies them with too short a sum: made bf16 in registers, exactly.
// Device code only.
#pragma once

#include <cstdint>

#include "kernels/ptx_sm90.cuh"

namespace tern::fp8 {

// Bytes Low and High of a word, e4m3, as bf16. They move to the high bytes of the halves first, then the fields to
// their places; the exponent's bias (7 instead of 127) is a factor of 2^120, exact also for subnormal numbers. The two
// codes that are not numbers become +-480.
template <int Low, int High>
__device__ inline uint32_t pair(uint32_t word) {
  // Byte 4 of (word, 0) is zero.
  const uint32_t spread = __byte_perm(word, 0, 0x0404 | Low << 4 | High << 12);
  const uint32_t placed = ptx::and_or(spread, 0x80008000u, spread >> 4 & 0x07f007f0u);
  return ptx::multiply_bf16x2(placed, 0x7b807b80u);
}

}  // namespace tern::fp8
