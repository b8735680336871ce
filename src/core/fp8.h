// The 8-bit float e4m3 (OCP 8-bit floating point, "e4m3fn"): 4 bits of exponent with bias 7, 3 of mantissa, no
// infinities, 0x7f and 0xff are not numbers, the largest is 448. Plain integer arithmetic; kernels have their own ways.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace tern {

inline float f32_from_e4m3(uint8_t bits) {
  const int exponent = bits >> 3 & 15, mantissa = bits & 7;
  const float sign = bits & 0x80 ? -1.0f : 1.0f;
  if (exponent == 15 && mantissa == 7) return std::numeric_limits<float>::quiet_NaN();
  if (exponent == 0) return sign * static_cast<float>(mantissa) * 0x1p-9f;
  return sign * std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
}

// Round to nearest, ties to even; what is too large becomes 448 with its sign; NaN stays NaN.
inline uint8_t e4m3_from_f32(float value) {
  const auto sign = static_cast<uint8_t>(std::bit_cast<uint32_t>(value) >> 24 & 0x80u);
  const float magnitude = std::fabs(value);
  if (std::isnan(value)) return sign | 0x7f;
  if (magnitude >= 448.0f) return sign | 0x7e;
  // Multiples of 2^-9 up to 2^-6, then of the exponent's own step: rounding may carry into the exponent, which is
  // right.
  if (magnitude < 0x1p-6f) return sign | static_cast<uint8_t>(std::nearbyint(magnitude * 0x1p9f));
  uint32_t bits = std::bit_cast<uint32_t>(magnitude);
  bits += 0x7ffffu + (bits >> 20 & 1u);
  return sign | static_cast<uint8_t>((bits >> 20) - (120u << 3));
}

}  // namespace tern
