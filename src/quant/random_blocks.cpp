#include "quant/random_blocks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/half.h"
#include "core/rng.h"
#include "quant/codebook_grids.h"
#include "quant/f8_e4m3.h"
#include "quant/iq1_m.h"
#include "quant/q2_k.h"
#include "quant/q4_1.h"
#include "quant/q4_k.h"
#include "quant/q5_1.h"
#include "quant/q5_k.h"
#include "quant/q8_0.h"
#include "quant/u4_zero.h"

namespace tern {
namespace {

// SplitMix64 as a stream: one mix for eight bytes.
class Bits {
 public:
  explicit Bits(uint64_t seed) : state_(mix64(seed)) {}
  uint64_t next() { return mix64(state_ += 0x9e3779b97f4a7c15ull); }
  void fill(std::byte* out, int64_t bytes) {
    int64_t i = 0;
    for (; i + 8 <= bytes; i += 8) store(out + i, 8);
    if (i < bytes) store(out + i, static_cast<size_t>(bytes - i));
  }

 private:
  void store(std::byte* out, size_t bytes) {
    const uint64_t word = next();
    std::memcpy(out, &word, bytes);
  }
  uint64_t state_;
};

// Scales differ from block to block: uniform in [0.75, 1.25) around the wanted one, whose mean square is 1 + 1/48.
constexpr double kScaleMeanSquare = 1.0 + 1.0 / 48.0;
float vary(float scale, uint64_t bits) { return scale * (0.75f + 0.5f * static_cast<float>(bits & 0xffff) * 0x1p-16f); }

// A sign for the scale makes the mean 0 where the codes' own is not, as -8..7 has.
uint16_t signed_scale(float scale, uint64_t bits) {
  return static_cast<uint16_t>(f16_from_f32(vary(scale, bits)) | (bits >> 16 & 1) << 15);
}

// An f16 whose products with odd numbers up to 31, halved, are f16 numbers too, so that a minimum can be the exact
// middle of the codes: 6 significant bits of a normal number, an even count of steps of a subnormal one.
uint16_t even_scale(float scale) {
  const uint16_t bits = f16_from_f32(scale);
  return static_cast<uint16_t>(bits & (bits >= 0x400 ? 0xffe0 : 0xfffe));
}

// One of two neighbouring powers of two, drawn so that the mean square over many is 4^x: `below` of 256 draws take the
// lower exponent.
struct TwoExponents {
  int exponent;
  uint32_t below;

  explicit TwoExponents(double x) : exponent(static_cast<int>(std::floor(x))), below(0) {
    const double share = (4.0 - std::pow(4.0, x - exponent)) / 3.0;  // share * 1 + (1 - share) * 4 = 4^(x - exponent)
    below = static_cast<uint32_t>(std::lround(share * 256.0));
  }
  int draw(uint64_t bits) const { return exponent + ((bits & 255) < below ? 0 : 1); }
};

// What makes the wanted deviation: a scale, or powers of two that amount to it.
struct Scale {
  float unit;
  TwoExponents powers;
  explicit Scale(double wanted) : unit(static_cast<float>(wanted)), powers(std::log2(wanted)) {}
};

// Puts one block's scales right after all its bytes were drawn.
using Patch = void (*)(std::byte* block, const Scale& scale, uint64_t bits);

template <size_t kOffset>
void patch_signed(std::byte* block, const Scale& scale, uint64_t bits) {
  const uint16_t d = signed_scale(scale.unit, bits);
  std::memcpy(block + kOffset, &d, sizeof(d));
}

template <typename Block>
void patch_affine32(std::byte* at, const Scale& scale, uint64_t bits) {  // value = d * q + m
  constexpr float kMiddle = sizeof(Block) == sizeof(BlockQ4_1) ? 7.5f : 15.5f;
  auto* block = reinterpret_cast<Block*>(at);
  block->d = even_scale(vary(scale.unit, bits));
  block->m = f16_from_f32(-kMiddle * f32_from_f16(block->d));
}

// Eight six-bit scales in [32, 63], each its own minimum: the inverse of scale_min_k.
void pack_scales_k(uint64_t bits, uint8_t scales[12]) {
  for (int j = 0; j < 4; ++j, bits >>= 10) {
    const auto low = static_cast<uint8_t>(32 + (bits & 31)), high = static_cast<uint8_t>(32 + (bits >> 5 & 31));
    scales[j] = scales[j + 4] = static_cast<uint8_t>(low | (high >> 4) << 6);
    scales[j + 8] = static_cast<uint8_t>((high & 15) * 17);
  }
}

template <typename Block>
void patch_affine_k(std::byte* at, const Scale& scale, uint64_t bits) {  // value = d * scale * q - dmin * scale
  constexpr float kMiddle = sizeof(Block) == sizeof(BlockQ4_K) ? 7.5f : 15.5f;
  auto* block = reinterpret_cast<Block*>(at);
  block->d = even_scale(vary(scale.unit, bits));
  block->dmin = f16_from_f32(kMiddle * f32_from_f16(block->d));
  pack_scales_k(bits >> 16, block->scales);
}

void patch_q2_k(std::byte* at, const Scale& scale, uint64_t bits) {
  auto* block = reinterpret_cast<BlockQ2_K*>(at);
  block->d = even_scale(vary(scale.unit, bits));
  block->dmin = f16_from_f32(1.5f * f32_from_f16(block->d));
  for (uint8_t& both : block->scales) both = static_cast<uint8_t>((8 + (both & 7)) * 17);  // in [8, 15]
}

void patch_q8_0(std::byte* at, const Scale& scale, uint64_t bits) {
  auto* block = reinterpret_cast<BlockQ8_0*>(at);
  block->d = f16_from_f32(vary(scale.unit, bits));
  for (int8_t& q : block->qs) q = std::max<int8_t>(q, -127);  // encoders never write -128
}

// A power-of-two scale (E8M0), biased by 127.
void patch_mxfp4(std::byte* block, const Scale& scale, uint64_t bits) {
  *block = static_cast<std::byte>(std::clamp(scale.powers.draw(bits) + 127, 1, 254));
}

void patch_iq1_m(std::byte* at, const Scale& scale, uint64_t bits) {
  auto* block = reinterpret_cast<BlockIQ1_M*>(at);
  const uint16_t d = signed_scale(scale.unit, bits);
  for (int j = 0; j < 4; ++j) {
    block->scales[j] = static_cast<uint16_t>((block->scales[j] & 0x0fff) | (d >> 4 * j & 15) << 12);
  }
}

void patch_u4_zero(std::byte* at, const Scale& scale, uint64_t bits) {
  auto* block = reinterpret_cast<BlockU4Zero*>(at);
  block->d = signed_scale(scale.unit, bits);
  block->m = f16_from_f32((bits >> 20 & 1) != 0 ? -7.0f : -8.0f);  // the codes' middle is between
}

void patch_f8_e4m3(std::byte* at, const Scale& scale, uint64_t bits) {
  auto* block = reinterpret_cast<BlockF8E4M3*>(at);
  block->d = vary(scale.unit, bits);
  for (uint8_t& q : block->qs) q = static_cast<uint8_t>(q - ((q & 0x7f) == 0x7f ? 1 : 0));  // those are not numbers
}

// The mean square of what a scale multiplies, by format: of n equally probable codes from -n/2 to n/2 - 1, and of the
// same about their middle; k-quants have two such factors.
constexpr double around_zero(double n) { return (n * n - 1) / 12 + 0.25; }
constexpr double around_middle(double n) { return (n * n - 1) / 12; }
constexpr double kScaleMinK = 47.5 * 47.5 + around_middle(32);  // uniform in [32, 63]
constexpr double kScaleQ2K = 11.5 * 11.5 + around_middle(8);    // uniform in [8, 15]
constexpr double kIq4Codes = 72768.0 / 16;                      // of the table of sixteen values that IQ4 codes index

constexpr double odd_squares(double n) { return (4 * n * n - 1) / 3; }  // of 1, 3, .., 2 n - 1
// Of the entries of a grid, whose fields of kBits stand for values[field].
template <int kBits, size_t N>
constexpr double grid_squares(const uint16_t (&grid)[N], const int8_t* values) {
  double sum = 0;
  for (const uint16_t entry : grid) {
    for (int shift = 0; shift < 16; shift += kBits) {
      const double value = values[entry >> shift & ((1 << kBits) - 1)];
      sum += value * value;
    }
  }
  return sum / (16 / kBits) / N;
}
constexpr int8_t kIq1Values[4] = {-1, 0, 1, 0};
constexpr double kIq1Squares = (64 * grid_squares<2>(kGridIq1, kIq1Values) + 1) * odd_squares(8) / 64;
template <size_t N>
constexpr double iq2_squares(const uint16_t (&grid)[N]) {
  return grid_squares<2>(grid, NarrowCodebook::kValues) * odd_squares(16) / 64;
}
// Of all e4m3 numbers, the largest counted twice.
constexpr double e4m3_squares() {
  double sum = 448.0 * 448.0;
  for (int code = 0; code < 127; ++code) {
    double value = code < 8 ? code : 8 + code % 8;
    for (int exponent = code < 8 ? 1 : code / 8; exponent > 1; --exponent) value *= 2;
    sum += value * value / (512.0 * 512.0);
  }
  return sum / 128;
}

// By name, since the order of the enumeration is the table's in format.cpp.
struct RandomRow {
  std::string_view name;
  double mean_square;
  Patch patch;
};
constexpr std::array kRows{
    RandomRow{"q4_0", around_zero(16) * kScaleMeanSquare, patch_signed<0>},
    RandomRow{"q4_1", around_middle(16) * kScaleMeanSquare, patch_affine32<BlockQ4_1>},
    RandomRow{"q5_0", around_zero(32) * kScaleMeanSquare, patch_signed<0>},
    RandomRow{"q5_1", around_middle(32) * kScaleMeanSquare, patch_affine32<BlockQ5_1>},
    RandomRow{"q8_0", around_zero(256) * kScaleMeanSquare, patch_q8_0},
    RandomRow{"q2_k", around_middle(4) * kScaleQ2K* kScaleMeanSquare, patch_q2_k},
    RandomRow{"q3_k", around_zero(8) * around_zero(64) * kScaleMeanSquare, patch_signed<108>},
    RandomRow{"q4_k", around_middle(16) * kScaleMinK* kScaleMeanSquare, patch_affine_k<BlockQ4_K>},
    RandomRow{"q5_k", around_middle(32) * kScaleMinK* kScaleMeanSquare, patch_affine_k<BlockQ5_K>},
    RandomRow{"q6_k", around_zero(64) * around_zero(256) * kScaleMeanSquare, patch_signed<208>},
    RandomRow{"iq4_nl", kIq4Codes* kScaleMeanSquare, patch_signed<0>},
    RandomRow{"iq4_xs", kIq4Codes* around_zero(64) * kScaleMeanSquare, patch_signed<0>},
    RandomRow{"mxfp4", 8.5625, patch_mxfp4},  // of 0, 0.5, 1, 1.5, 2, 3, 4, 6
    RandomRow{"iq1_s", kIq1Squares* kScaleMeanSquare, patch_signed<0>},
    RandomRow{"iq1_m", kIq1Squares* kScaleMeanSquare, patch_iq1_m},
    RandomRow{"iq2_xxs", iq2_squares(kGridIq2Xxs) * kScaleMeanSquare, patch_signed<0>},
    RandomRow{"iq2_xs", iq2_squares(kGridIq2Xs) * kScaleMeanSquare, patch_signed<0>},
    RandomRow{"iq2_s", iq2_squares(kGridIq2S) * kScaleMeanSquare, patch_signed<0>},
    RandomRow{"iq3_xxs",
              grid_squares<4>(kGridIq3Xxs, Iq3XxsCodebook::kValues) * odd_squares(16) / 16 * kScaleMeanSquare,
              patch_signed<0>},
    RandomRow{"iq3_s", grid_squares<4>(kGridIq3S, Iq3SCodebook::kValues) * odd_squares(16) * kScaleMeanSquare,
              patch_signed<0>},
    RandomRow{"tq1_0", 2.0 / 3 * kScaleMeanSquare, patch_signed<52>},
    RandomRow{"tq2_0", 1.5 * kScaleMeanSquare, patch_signed<64>},  // of -1, 0, 1, 2
    RandomRow{"u4_zero", around_zero(16) * kScaleMeanSquare, patch_u4_zero},
    RandomRow{"f8_e4m3", e4m3_squares() * kScaleMeanSquare, patch_f8_e4m3},
};

// Sign and mantissa drawn, one of two exponents: |value| is uniform in [2^e, 2^(e + 1)), whose mean square is 4^e *
// 7/3.
template <typename Word>
void random_floats(double deviation, int exponent_bits, Bits bits, int64_t count, std::byte* out) {
  constexpr int kBits = sizeof(Word) * 8;
  const int mantissa_bits = kBits - 1 - exponent_bits;
  const TwoExponents exponents(std::log2(deviation / std::sqrt(7.0 / 3.0)));
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const Word keep = static_cast<Word>(Word{1} << (kBits - 1) | ((Word{1} << mantissa_bits) - 1));
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t drawn = bits.next();
    const int biased = std::clamp(exponents.draw(drawn >> 32) + bias, 1, 2 * bias);
    const auto word = static_cast<Word>((static_cast<Word>(drawn) & keep) | static_cast<Word>(biased) << mantissa_bits);
    std::memcpy(out + i * static_cast<int64_t>(sizeof(Word)), &word, sizeof(Word));
  }
}

const RandomRow* find_row(std::string_view name) {
  const auto* row = std::ranges::find(kRows, name, &RandomRow::name);
  return row == kRows.end() ? nullptr : row;
}

bool is_float(Format format) { return format == Format::kF32 || format == Format::kF16 || format == Format::kBF16; }

}  // namespace

bool has_random_blocks(Format format) { return is_float(format) || find_row(name_of(format)) != nullptr; }

void random_blocks(Format format, double deviation, uint64_t seed, int64_t blocks, std::byte* out) {
  Bits bits(seed);
  if (format == Format::kF32) return random_floats<uint32_t>(deviation, 8, bits, blocks, out);
  if (format == Format::kF16) return random_floats<uint16_t>(deviation, 5, bits, blocks, out);
  if (format == Format::kBF16) return random_floats<uint16_t>(deviation, 8, bits, blocks, out);
  const RandomRow* row = find_row(name_of(format));
  TERN_CHECK(row != nullptr, std::string(name_of(format)));
  const int64_t bytes = format_info(format).block_bytes;
  const Scale scale(deviation / std::sqrt(row->mean_square));
  bits.fill(out, blocks * bytes);
  for (int64_t b = 0; b < blocks; ++b) row->patch(out + b * bytes, scale, bits.next());
}

}  // namespace tern
