// Random numbers without state: a draw is a function of (seed, index), so that a sampled token depends on its request's
// seed and its place in the answer alone, never on what else ran. SplitMix64 (Steele, Lea, Flood 2014) twice over.
#pragma once

#include <cstdint>

namespace tern {

constexpr uint64_t mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

constexpr uint64_t random_bits(uint64_t seed, uint64_t index) {
  return mix64(mix64(seed) ^ mix64(index + 0x632be59bd9b4e019ull));
}

// Uniform in [0, 1), 53 bits.
constexpr double random_unit(uint64_t seed, uint64_t index) {
  return static_cast<double>(random_bits(seed, index) >> 11) * 0x1p-53;
}

}  // namespace tern
