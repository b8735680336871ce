#include "core/checksum.h"

#include <array>
#include <bit>
#include <cstring>

namespace tern {
namespace {

constexpr size_t kLanes = 8;  // a multiplication takes 3 to 4 cycles and a step 5: enough to start one every cycle
constexpr size_t kStride = kLanes * sizeof(uint64_t);
constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;  // 2^64 / golden ratio: odd, its bits without pattern

using Lanes = std::array<uint64_t, kLanes>;

// The rotation carries the upper bits, which a product never mixes downwards, to where the next product spreads them.
inline uint64_t step(uint64_t lane, uint64_t word) { return std::rotl(lane ^ word, 29) * kOdd; }

inline void take(Lanes& lanes, const std::byte* at) {
  for (size_t i = 0; i < kLanes; ++i) {
    uint64_t word;
    std::memcpy(&word, at + i * sizeof word, sizeof word);
    lanes[i] = step(lanes[i], word);
  }
}

}  // namespace

uint64_t checksum64(std::span<const std::byte> bytes) {
  Lanes lanes;
  for (size_t i = 0; i < kLanes; ++i) lanes[i] = (i + 1) * kOdd;
  size_t at = 0;
  for (; at + kStride <= bytes.size(); at += kStride) take(lanes, bytes.data() + at);
  if (at < bytes.size()) {
    std::array<std::byte, kStride> rest{};
    std::memcpy(rest.data(), bytes.data() + at, bytes.size() - at);
    take(lanes, rest.data());
  }
  uint64_t sum = bytes.size();  // zeros at the end count too
  for (const uint64_t lane : lanes) sum = step(sum, lane);
  return sum ^ sum >> 32;
}

}  // namespace tern
