#include "model/rope_table.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"

namespace tern {
namespace {

// Llama 3.1: wavelengths longer than original/low are divided by the factor, shorter than original/high kept, and
// between the two blended linearly in original/wavelength.
double llama3_frequency(const RopeConfig& rope, double frequency) {
  const double wavelength = 2.0 * std::numbers::pi / frequency;
  const auto original = static_cast<double>(rope.original_context);
  if (wavelength < original / rope.high_frequency_factor) return frequency;
  if (wavelength > original / rope.low_frequency_factor) return frequency / rope.factor;
  const double smooth =
      (original / wavelength - rope.low_frequency_factor) / (rope.high_frequency_factor - rope.low_frequency_factor);
  return (1.0 - smooth) * frequency / rope.factor + smooth * frequency;
}

// The pair whose wavelength makes `rotations` turns in the original context (arXiv 2309.00071, section 3.2).
double yarn_pair(const RopeConfig& rope, double rotations) {
  return static_cast<double>(rope.dims) *
         std::log(static_cast<double>(rope.original_context) / (rotations * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(rope.theta));
}

// In f32 throughout and in this order, as models were trained: a last-place difference in a frequency is 300 times as
// large in the angle of position 300.
float yarn_frequency(const RopeConfig& rope, float wavelength, int64_t pair) {
  double low = yarn_pair(rope, rope.beta_fast), high = yarn_pair(rope, rope.beta_slow);
  if (rope.yarn_whole_pairs) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(rope.dims - 1));
  if (high == low) high += 0.001;  // no division by zero when the ramp is empty
  const float ramp =
      std::clamp((static_cast<float>(pair) - static_cast<float>(low)) / static_cast<float>(high - low), 0.0f, 1.0f);
  const float kept = 1.0f - ramp;
  const float interpolated = 1.0f / (static_cast<float>(rope.factor) * wavelength);
  return interpolated * (1.0f - kept) + 1.0f / wavelength * kept;
}

}  // namespace

std::vector<float> rope_frequencies(const RopeConfig& rope, std::span<const float> factors) {
  std::vector<float> out(static_cast<size_t>(rope.dims / 2));
  const bool divided = rope.scaling == RopeScaling::kFactors || rope.scaling == RopeScaling::kLong;
  if (divided && factors.size() != out.size()) {
    bad_input("[rope] there are " + std::to_string(factors.size()) + " factors, the model rotates " +
              std::to_string(out.size()) + " pairs");
  }
  for (size_t i = 0; i < out.size(); ++i) {
    const auto pair = static_cast<int64_t>(i);
    // Rounded to f32 before it is scaled, as the models' own code does.
    const auto wavelength =
        static_cast<float>(std::pow(rope.theta, 2.0 * static_cast<double>(pair) / static_cast<double>(rope.dims)));
    double frequency = static_cast<double>(1.0f / wavelength);
    switch (rope.scaling) {
      case RopeScaling::kNone:
        break;
      case RopeScaling::kLinear:
        frequency /= rope.factor;
        break;
      case RopeScaling::kLlama3:
        frequency = llama3_frequency(rope, frequency);
        break;
      case RopeScaling::kYarn:
        frequency = static_cast<double>(yarn_frequency(rope, wavelength, pair));
        break;
      case RopeScaling::kLong:
        frequency = static_cast<double>(1.0f / (factors[i] * wavelength));
        break;
      case RopeScaling::kFactors:
        frequency /= static_cast<double>(factors[i]);
        break;
    }
    out[i] = static_cast<float>(frequency);
    if (!std::isfinite(out[i]) || !std::isfinite(rope.attention_factor)) {
      bad_input("[rope] the scaling's numbers give no finite frequency for pair " + std::to_string(i));
    }
  }
  return out;
}

GrowingRopeTable::GrowingRopeTable(const RopeConfig& rope, std::span<const float> factors, int64_t most)
    : frequencies_(rope_frequencies(rope, factors)), factor_(rope.attention_factor) {
  table_.cos.reserve(static_cast<size_t>(most) * frequencies_.size());
  table_.sin.reserve(table_.cos.capacity());
}

void GrowingRopeTable::cover(int64_t positions) {
  TERN_CHECK(positions * static_cast<int64_t>(frequencies_.size()) <= static_cast<int64_t>(table_.cos.capacity()));
  for (; covered_ < positions; ++covered_) {
    for (float frequency : frequencies_) {
      // The product is rounded to f32 first, as the reference implementations do; at position 10,000 that matters.
      const float angle = static_cast<float>(covered_) * frequency;
      table_.cos.push_back(static_cast<float>(std::cos(static_cast<double>(angle)) * factor_));
      table_.sin.push_back(static_cast<float>(std::sin(static_cast<double>(angle)) * factor_));
    }
  }
}

RopeTable rope_table(const RopeConfig& rope, std::span<const float> factors, int64_t positions) {
  GrowingRopeTable table(rope, factors, positions);
  table.cover(positions);
  return table.table();
}

}  // namespace tern
