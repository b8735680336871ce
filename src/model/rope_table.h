// Cosines and sines of rotary positions, computed once on loading, for every scaling that RopeConfig names.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/config.h"

namespace tern {

// Angle per position of each pair: [dims / 2]. `factors` is the weight rope_freqs for kFactors, else empty.
std::vector<float> rope_frequencies(const RopeConfig& rope, std::span<const float> factors);

struct RopeTable {
  std::vector<float> cos, sin;  // [positions, dims / 2]
};
RopeTable rope_table(const RopeConfig& rope, std::span<const float> factors, int64_t positions);

}  // namespace tern
