// Valid random weights and awkward activations for the kernel tests. Deterministic by seed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "quant/format_id.h"

namespace tern::test {

enum class WeightCase {
  kNormal,        // random codes, scales of the size that models have, both signs
  kZeroScales,    // every other block's scale (and minimum) is zero
  kHugeScales,    // scales near f16's largest
  kTinyScales,    // f16 subnormals
  kExtremeCodes,  // every code all zeros or all ones
};
inline constexpr WeightCase kWeightCases[] = {WeightCase::kNormal, WeightCase::kZeroScales, WeightCase::kHugeScales,
                                              WeightCase::kTinyScales, WeightCase::kExtremeCodes};

enum class ActivationCase {
  kNormal,    // gaussian
  kOutliers,  // one element in 64 is 30 times larger
  kAwkward,   // whole zero blocks, all-positive and constant ones, blocks a million times smaller or larger
};
inline constexpr ActivationCase kActivationCases[] = {ActivationCase::kNormal, ActivationCase::kOutliers,
                                                      ActivationCase::kAwkward};

inline constexpr Format kAllFormats[] = {
    Format::kF32,     Format::kF16,    Format::kBF16,   Format::kQ4_0,    Format::kQ4_1,  Format::kQ5_0,
    Format::kQ5_1,    Format::kQ8_0,   Format::kQ2_K,   Format::kQ3_K,    Format::kQ4_K,  Format::kQ5_K,
    Format::kQ6_K,    Format::kIQ4_NL, Format::kIQ4_XS, Format::kMXFP4,   Format::kIQ1_S, Format::kIQ1_M,
    Format::kIQ2_XXS, Format::kIQ2_XS, Format::kIQ2_S,  Format::kIQ3_XXS, Format::kIQ3_S, Format::kTQ1_0,
    Format::kTQ2_0,   Format::kNVFP4,  Format::kU4Zero, Format::kF8E4M3};

// Rows of `cols` elements in the format's own blocks; cols is a multiple of the block.
std::vector<std::byte> random_weights(Format format, int64_t rows, int64_t cols, WeightCase kind, uint64_t seed);

std::vector<float> random_activations(int64_t tokens, int64_t cols, ActivationCase kind, uint64_t seed);

}  // namespace tern::test
