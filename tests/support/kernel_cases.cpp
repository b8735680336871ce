#include "support/kernel_cases.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <type_traits>

#include "core/half.h"
#include "quant/f8_e4m3.h"
#include "quant/iq1_m.h"
#include "quant/iq1_s.h"
#include "quant/iq2_s.h"
#include "quant/iq2_xs.h"
#include "quant/iq2_xxs.h"
#include "quant/iq3_s.h"
#include "quant/iq3_xxs.h"
#include "quant/iq4_nl.h"
#include "quant/iq4_xs.h"
#include "quant/mxfp4.h"
#include "quant/nvfp4.h"
#include "quant/q2_k.h"
#include "quant/q3_k.h"
#include "quant/q4_0.h"
#include "quant/q4_1.h"
#include "quant/q4_k.h"
#include "quant/q5_0.h"
#include "quant/q5_1.h"
#include "quant/q5_k.h"
#include "quant/q6_k.h"
#include "quant/q8_0.h"
#include "quant/tq1_0.h"
#include "quant/tq2_0.h"
#include "quant/u4_zero.h"

namespace tern::test {
namespace {

using Generator = std::mt19937_64;

float gaussian(Generator& random) { return std::normal_distribution<float>()(random); }

// Gives the blocks of one matrix their scales, in turn.
class Scales {
 public:
  Scales(WeightCase kind, Generator& random) : kind_(kind), random_(random) {}
  void next_block() { ++block_; }
  uint16_t next() {
    const float sign = (random_() & 1) != 0 ? 1.0f : -1.0f;
    const float unit = 0.25f + 0.75f * static_cast<float>(random_() % 1024) / 1024.0f;
    switch (kind_) {
      case WeightCase::kZeroScales:
        return f16_from_f32(block_ % 2 == 0 ? 0.0f : sign * unit * 0.02f);
      case WeightCase::kHugeScales:
        return f16_from_f32(sign * unit * 65504.0f);
      case WeightCase::kTinyScales:
        return f16_from_f32(sign * unit * 0x1p-15f);
      default:
        return f16_from_f32(sign * unit * 0.02f);
    }
  }
  // MXFP4: an exponent has no zero, but 0, 2^-128 and subnormal, is one beside the others.
  uint8_t next_exponent() {
    const auto any = static_cast<uint8_t>(random_() % 8);
    switch (kind_) {
      case WeightCase::kZeroScales:
        return block_ % 2 == 0 ? 0 : static_cast<uint8_t>(118 + any);
      case WeightCase::kHugeScales:
        return static_cast<uint8_t>(137 + any);
      case WeightCase::kTinyScales:
        return static_cast<uint8_t>(106 + any);
      default:
        return static_cast<uint8_t>(118 + any);
    }
  }

 private:
  WeightCase kind_;
  Generator& random_;
  int64_t block_ = 0;
};

// Four bits of each of the words are the scale's.
void spread_scale(uint16_t scale, BlockIQ1_M& block) {
  for (int j = 0; j < 4; ++j) {
    block.scales[j] = static_cast<uint16_t>((block.scales[j] & 0x0fff) | (scale >> 4 * j & 15) << 12);
  }
}

template <typename Block>
void set_scales(Block& block, Scales& scales) {
  if constexpr (std::is_same_v<Block, BlockIQ1_M>) spread_scale(scales.next(), block);
  if constexpr (std::is_same_v<Block, BlockU4Zero>) {
    block.d = scales.next();
    block.m = f16_from_f32(-static_cast<float>(4 + (block.qs[0] & 7)));  // not all codes cancel
    return;
  }
  if constexpr (std::is_same_v<Block, BlockF8E4M3>) {
    block.d = f32_from_f16(scales.next());
    for (uint8_t& q : block.qs) q = static_cast<uint8_t>(q - ((q & 0x7f) == 0x7f ? 1 : 0));  // those are no numbers
    return;
  }
  if constexpr (requires { block.d; }) block.d = scales.next();
  if constexpr (requires { block.e; }) block.e = scales.next_exponent();
  if constexpr (requires { block.m; }) block.m = scales.next();
  if constexpr (requires { block.dmin; }) block.dmin = scales.next();
}

// Extreme codes are all ones or all zeros in a block, or in most bytes of those whose bytes are numbers of a codebook's
// entries: two entries everywhere would make all rows alike.
enum class Extremes { kOfBlocks, kOfBytes };

template <typename Block, Extremes kExtremes = Extremes::kOfBlocks>
std::vector<std::byte> blocks(int64_t count, WeightCase kind, Generator& random) {
  std::vector<std::byte> bytes(static_cast<size_t>(count) * sizeof(Block));
  Scales scales(kind, random);
  for (int64_t b = 0; b < count; ++b, scales.next_block()) {
    std::byte* place = bytes.data() + b * static_cast<int64_t>(sizeof(Block));
    int ones = static_cast<int>(random() & 1) * 255;
    for (size_t i = 0; i < sizeof(Block); ++i) {
      if (kExtremes == Extremes::kOfBytes)
        ones = static_cast<int>(random() % 4 == 0 ? random() & 255 : random() % 2 * 255);
      const int byte = kind == WeightCase::kExtremeCodes ? ones : static_cast<int>(random() & 255);
      place[i] = static_cast<std::byte>(byte);
    }
    Block block;
    std::memcpy(&block, place, sizeof(Block));
    set_scales(block, scales);
    std::memcpy(place, &block, sizeof(Block));
  }
  return bytes;
}

template <typename T, typename Convert>
std::vector<std::byte> elements(int64_t count, WeightCase kind, Generator& random, Convert convert) {
  std::vector<std::byte> bytes(static_cast<size_t>(count) * sizeof(T));
  for (int64_t i = 0; i < count; ++i) {
    float value = gaussian(random) * 0.05f;
    if (kind == WeightCase::kZeroScales && i / 32 % 2 == 0) value = 0.0f;
    if (kind == WeightCase::kHugeScales) value = std::clamp(value, -0.2f, 0.2f) * 3e5f;
    if (kind == WeightCase::kTinyScales) value *= 0x1p-16f;
    if (kind == WeightCase::kExtremeCodes) value = value > 0 ? 1.0f : -1.0f;
    const T converted = convert(value);
    std::memcpy(bytes.data() + i * static_cast<int64_t>(sizeof(T)), &converted, sizeof(T));
  }
  return bytes;
}

}  // namespace

std::vector<std::byte> random_weights(Format format, int64_t rows, int64_t cols, WeightCase kind, uint64_t seed) {
  Generator random(seed);
  const int64_t count = rows * cols;
  switch (format) {
    case Format::kF32:
      return elements<float>(count, kind, random, [](float value) { return value; });
    case Format::kF16:
      return elements<uint16_t>(count, kind, random, f16_from_f32);
    case Format::kBF16:
      return elements<uint16_t>(count, kind, random, bf16_from_f32);
    case Format::kQ4_0:
      return blocks<BlockQ4_0>(count / 32, kind, random);
    case Format::kQ4_1:
      return blocks<BlockQ4_1>(count / 32, kind, random);
    case Format::kQ5_0:
      return blocks<BlockQ5_0>(count / 32, kind, random);
    case Format::kQ5_1:
      return blocks<BlockQ5_1>(count / 32, kind, random);
    case Format::kQ8_0:
      return blocks<BlockQ8_0>(count / 32, kind, random);
    case Format::kQ2_K:
      return blocks<BlockQ2_K>(count / 256, kind, random);
    case Format::kQ3_K:
      return blocks<BlockQ3_K>(count / 256, kind, random);
    case Format::kQ4_K:
      return blocks<BlockQ4_K>(count / 256, kind, random);
    case Format::kQ5_K:
      return blocks<BlockQ5_K>(count / 256, kind, random);
    case Format::kQ6_K:
      return blocks<BlockQ6_K>(count / 256, kind, random);
    case Format::kIQ4_NL:
      return blocks<BlockIQ4_NL>(count / 32, kind, random);
    case Format::kIQ4_XS:
      return blocks<BlockIQ4_XS>(count / 256, kind, random);
    case Format::kMXFP4:
      return blocks<BlockMXFP4>(count / 32, kind, random);
    case Format::kIQ1_S:
      return blocks<BlockIQ1_S, Extremes::kOfBytes>(count / 256, kind, random);
    case Format::kIQ1_M:
      return blocks<BlockIQ1_M, Extremes::kOfBytes>(count / 256, kind, random);
    case Format::kIQ2_XXS:
      return blocks<BlockIQ2_XXS, Extremes::kOfBytes>(count / 256, kind, random);
    case Format::kIQ2_XS:
      return blocks<BlockIQ2_XS, Extremes::kOfBytes>(count / 256, kind, random);
    case Format::kIQ2_S:
      return blocks<BlockIQ2_S, Extremes::kOfBytes>(count / 256, kind, random);
    case Format::kIQ3_XXS:
      return blocks<BlockIQ3_XXS, Extremes::kOfBytes>(count / 256, kind, random);
    case Format::kIQ3_S:
      return blocks<BlockIQ3_S, Extremes::kOfBytes>(count / 256, kind, random);
    case Format::kTQ1_0:
      return blocks<BlockTQ1_0>(count / 256, kind, random);
    case Format::kTQ2_0:
      return blocks<BlockTQ2_0>(count / 256, kind, random);
    case Format::kNVFP4:
      return blocks<BlockNVFP4>(count / 64, kind, random);
    case Format::kU4Zero:
      return blocks<BlockU4Zero>(count / 32, kind, random);
    case Format::kF8E4M3:
      return blocks<BlockF8E4M3>(count / 32, kind, random);
  }
  return {};
}

std::vector<float> random_activations(int64_t tokens, int64_t cols, ActivationCase kind, uint64_t seed) {
  Generator random(seed);
  std::vector<float> x(static_cast<size_t>(tokens * cols));
  for (int64_t i = 0; i < tokens * cols; ++i) {
    float value = gaussian(random);
    if (kind == ActivationCase::kOutliers && random() % 64 == 0) value *= 30.0f;
    if (kind == ActivationCase::kAwkward) {
      const int64_t block = i / 32;
      if (block % 7 == 1) value = 0.0f;
      if (block % 7 == 2) value = value < 0 ? -value : value;
      if (block % 7 == 3) value = 0.75f;
      if (block % 7 == 4) value *= 1e-6f;
      if (block % 7 == 5 && i / cols % 3 == 0) value *= 1e6f;
      if (block % 7 == 6 && i % 32 != 5) value = 0.0f;
    }
    x[static_cast<size_t>(i)] = value;
  }
  return x;
}

}  // namespace tern::test
