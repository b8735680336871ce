// Element types and constants of the vector kernels, for ISA files and for references that repeat them; local to each.
#pragma once

#include <cstdint>

namespace tern {
namespace {

// Two bytes of a cache, told apart by type so that loads and stores pick the conversion.
struct ElementF16 {
  uint16_t bits;
};
struct ElementBF16 {
  uint16_t bits;
};

// Range of the vector exponential: 2^n stays a normal number with the polynomial's value below 1 and above it.
constexpr float kExpLowest = -86.6f;
constexpr float kExpHighest = 88.37f;
constexpr float kLog2E = 1.44269504f;
// ln 2 in two parts: the first has 9 trailing zero bits, so that n times it is exact.
constexpr float kLn2High = 0.693359375f;
constexpr float kLn2Low = -2.12194440e-4f;
// 1/6!, ..., 1/2!
constexpr float kExpSeries[5] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f};
// 2^f = 1 + f (c4 + f (c3 + ...)) on [-1/2, 1/2], the polynomial whose greatest relative error is least (9e-8, in f32
// arithmetic 1.7e-7) among those that are exact at 0. Highest power first.
constexpr float kExp2Series[5] = {1.32647273e-3f, 9.67151299e-3f, 5.55073358e-2f, 2.40222424e-1f, 6.93147004e-1f};
constexpr float kExp2Lowest = -125.0f;
// 2^f = 1 + f (c3 + f (c2 + f c1)) on [0, 1], the cubic whose greatest relative error is least (1.03e-4) among those
// that are exact at both ends, so that it rises without a step from one power of two to the next. Highest power first.
constexpr float kExp2Cubic[3] = {7.82679700e-2f, 2.26307680e-1f, 6.95424350e-1f};

}  // namespace
}  // namespace tern
