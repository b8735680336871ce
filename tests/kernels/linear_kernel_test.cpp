// Every implementation of the linear family against the exact product over the reference decoder's weights: shapes,
// awkward values, and the same bits in any company.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "emulated_amx.h"
#include "kernels/linear/linear.h"
#include "linear_cases.h"
#include "quant/format.h"
#include "support/kernel_cases.h"

namespace tern {
namespace {

using test::ActivationCase;
using test::BoundImpl;
using test::decoded;
using test::relative_error;
using test::same_bits;
using test::Storage;
using test::WeightCase;

constexpr int64_t kMaxTokens = 100;
constexpr int64_t kTokenCounts[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 16, 17, 33, 100};

struct ImplFormat {
  const LinearImpl* impl;
  Format format;
  bool emulated = false;
};

void PrintTo(const ImplFormat& p, std::ostream* out) { *out << p.impl->name << " " << name_of(p.format); }

std::vector<ImplFormat> runnable() {
  std::vector<ImplFormat> all;
  const uint32_t isa = detect_isa();
  for (const LinearImpl* impl : linear_impls()) {
    if ((impl->needs & ~isa) != 0) continue;
    for (Format format : test::kAllFormats) {
      if (impl->supports({16, 1536, format})) all.push_back({impl, format});
    }
  }
  for (const LinearImpl* impl : test::emulated_amx_impls()) {
    for (Format format : test::kAllFormats) {
      if (impl->supports({16, 1536, format})) all.push_back({impl, format, true});
    }
  }
  return all;
}

std::string test_name(const testing::TestParamInfo<ImplFormat>& info) {
  return std::string(info.param.emulated ? "emulated_" : "") + info.param.impl->name + "_" +
         std::string(name_of(info.param.format));
}

class LinearKernel : public testing::TestWithParam<ImplFormat> {
 protected:
  static bool exact() {
    return format_info(GetParam().format).block_elements == 1 || GetParam().impl->name == std::string_view("ref");
  }
  // Activations in bf16 are off by at most 2^-9, 1.3e-6 of their energy.
  static bool rounds_to_bf16() { return std::string_view(GetParam().impl->name).ends_with("bf16dot"); }
  static double float_tolerance() { return rounds_to_bf16() ? 5e-6 : 1e-10; }
  static double tolerance() { return exact() ? float_tolerance() : 5e-4; }
  // What rounding activations to 8 bits costs by itself: a twelfth of a step squared an element, the step being the
  // largest of a weight block's 32 or 256 elements / 127. Four times that, since a few rows are a small sample; eight
  // times where extreme codes make sub-blocks differ by 31 in scale, so that few elements count.
  static double rounding_tolerance(const std::vector<float>& x) {
    const size_t block = format_info(GetParam().format).block_elements;
    double noise = 0, energy = 0;
    for (size_t i = 0; i < x.size(); i += block) {
      double largest = 0;
      for (size_t k = i; k < i + block; ++k) {
        largest = std::max(largest, std::abs(static_cast<double>(x[k])));
        energy += static_cast<double>(x[k]) * x[k];
      }
      noise += static_cast<double>(block) * largest * largest / (127.0 * 127.0 * 12.0);
    }
    const bool codebook = GetParam().format >= Format::kIQ1_S && GetParam().format <= Format::kTQ2_0;
    return exact() ? float_tolerance() : std::max(1e-3, (codebook ? 8 : 4) * noise / energy);
  }
};

// Against f64 over the reference decoder's weights, and the same bits alone, in any batch and in any division of
// panels.
TEST_P(LinearKernel, ShapesAndBits) {
  const auto& [impl, format, emulated] = GetParam();
  int shapes = 0;
  for (int64_t rows : {1, 15, 16, 17, 33}) {
    for (int64_t cols : {7, 32, 64, 96, 256, 576, 768, 896, 1536}) {
      const LinearDesc desc{rows, cols, format};
      if (cols % format_info(format).block_elements != 0 || !impl->supports(desc)) continue;
      SCOPED_TRACE(testing::Message() << rows << "x" << cols);
      ++shapes;
      const auto seed = static_cast<uint64_t>(rows * 10000 + cols);
      const std::vector<std::byte> bytes = test::random_weights(format, rows, cols, WeightCase::kNormal, seed);
      const std::vector<float> x = test::random_activations(kMaxTokens, cols, ActivationCase::kNormal, seed + 1);
      std::vector<float> bias = test::random_activations(1, rows, ActivationCase::kNormal, seed + 2);
      BoundImpl bound(*impl, desc, bytes.data(), bias.data());

      const std::vector<float> all = bound.run(x.data(), kMaxTokens, 1);
      const std::vector<float> w = decoded(format, bytes, rows * cols);
      EXPECT_LE(relative_error(all, w, x, bias, rows, cols, 9), tolerance());
      EXPECT_TRUE(same_bits(bound.run(x.data(), kMaxTokens, 2), all.data()));
      EXPECT_TRUE(same_bits(bound.run(x.data(), kMaxTokens, 3), all.data()));
      for (int64_t t = 0; t < kMaxTokens; ++t) {
        ASSERT_TRUE(same_bits(bound.run(x.data() + t * cols, 1, 1), all.data() + t * rows)) << "token " << t;
      }
      for (int64_t tokens : kTokenCounts) {
        const int64_t from = (kMaxTokens - tokens) / 2;
        ASSERT_TRUE(same_bits(bound.run(x.data() + from * cols, tokens, 3), all.data() + from * rows)) << tokens;
      }
      for (int64_t n = 0; n < rows; ++n) ASSERT_TRUE(same_bits(bound.row(n), w.data() + n * cols)) << "row " << n;
    }
  }
  EXPECT_GT(shapes, 0);
}

// Rows so long that kernels cut them for several tokens: the cuts are at other places for every number of tokens.
TEST_P(LinearKernel, LongRows) {
  const auto& [impl, format, emulated] = GetParam();
  constexpr int64_t kRows = 35, kTokens = 33;
  for (int64_t cols : {4864, 8960}) {
    SCOPED_TRACE(cols);
    const std::vector<std::byte> bytes = test::random_weights(format, kRows, cols, WeightCase::kNormal, 21);
    const std::vector<float> x = test::random_activations(kTokens, cols, ActivationCase::kOutliers, 22);
    const std::vector<float> bias = test::random_activations(1, kRows, ActivationCase::kNormal, 23);
    BoundImpl bound(*impl, {kRows, cols, format}, bytes.data(), bias.data());
    const std::vector<float> all = bound.run(x.data(), kTokens, 1);
    const std::vector<float> w = decoded(format, bytes, kRows * cols);
    EXPECT_LE(relative_error(all, w, x, bias, kRows, cols, 2), rounding_tolerance(x));
    for (int64_t tokens = 1; tokens <= 17; ++tokens) {
      const int64_t from = kTokens - tokens;
      ASSERT_TRUE(same_bits(bound.run(x.data() + from * cols, tokens, 2), all.data() + from * kRows)) << tokens;
    }
    for (int64_t n : {int64_t{0}, kRows - 1}) ASSERT_TRUE(same_bits(bound.row(n), w.data() + n * cols)) << "row " << n;
  }
}

TEST_P(LinearKernel, AwkwardValues) {
  const auto& [impl, format, emulated] = GetParam();
  constexpr int64_t kRows = 19, kCols = 768, kTokens = 10;
  const LinearDesc desc{kRows, kCols, format};
  const std::vector<float> bias(kRows, 0.0f);
  for (WeightCase weight_case : test::kWeightCases) {
    for (ActivationCase activation_case : test::kActivationCases) {
      SCOPED_TRACE(testing::Message() << static_cast<int>(weight_case) << " " << static_cast<int>(activation_case));
      const std::vector<std::byte> bytes = test::random_weights(format, kRows, kCols, weight_case, 5);
      const std::vector<float> x = test::random_activations(kTokens, kCols, activation_case, 6);
      BoundImpl bound(*impl, desc, bytes.data(), nullptr);
      const std::vector<float> w = decoded(format, bytes, kRows * kCols);
      const std::vector<float> all = bound.run(x.data(), kTokens, 1);
      // Every token by itself: a large one must not hide what happens to a small one.
      for (int64_t t = 0; t < kTokens; ++t) {
        const std::vector<float> one(x.begin() + t * kCols, x.begin() + (t + 1) * kCols);
        const std::vector<float> out(all.begin() + t * kRows, all.begin() + (t + 1) * kRows);
        EXPECT_LE(relative_error(out, w, one, bias, kRows, kCols, 1), rounding_tolerance(one)) << "token " << t;
        EXPECT_TRUE(same_bits(bound.run(one.data(), 1, 1), out.data())) << "token " << t;
      }
      for (int64_t n = 0; n < kRows; ++n) ASSERT_TRUE(same_bits(bound.row(n), w.data() + n * kCols)) << "row " << n;
    }
  }
}

TEST_P(LinearKernel, ZeroInNothingOut) {
  const auto& [impl, format, emulated] = GetParam();
  constexpr int64_t kRows = 17, kCols = 256;
  const std::vector<std::byte> bytes = test::random_weights(format, kRows, kCols, WeightCase::kHugeScales, 1);
  const std::vector<float> x(2 * kCols, 0.0f);
  BoundImpl bound(*impl, {kRows, kCols, format}, bytes.data(), nullptr);
  for (float value : bound.run(x.data(), 2, 1)) EXPECT_EQ(value, 0.0f);
}

TEST_P(LinearKernel, NotANumberComesThrough) {
  const auto& [impl, format, emulated] = GetParam();
  constexpr int64_t kRows = 17, kCols = 256;
  const std::vector<std::byte> bytes = test::random_weights(format, kRows, kCols, WeightCase::kNormal, 1);
  std::vector<float> x(2 * kCols, 1.0f);
  x[77] = NAN;
  BoundImpl bound(*impl, {kRows, kCols, format}, bytes.data(), nullptr);
  const std::vector<float> out = bound.run(x.data(), 2, 1);
  for (int64_t n = 0; n < kRows; ++n) {
    EXPECT_TRUE(std::isnan(out[n]));
    EXPECT_TRUE(std::isfinite(out[kRows + n]));
  }
}

TEST_P(LinearKernel, CostCountsEachOperandOnce) {
  const auto& [impl, format, emulated] = GetParam();
  const LinearDesc desc{512, 1536, format};
  const Cost one = impl->cost(desc, 1);
  const FormatInfo& info = format_info(format);
  EXPECT_EQ(one.ops, 2.0 * 512 * 1536);
  EXPECT_GE(one.bytes, 512.0 * 1536 / info.block_elements * info.block_bytes);
  EXPECT_EQ(impl->cost(desc, 7).ops, 7 * one.ops);
  if (impl->pack != nullptr) {
    EXPECT_GE(static_cast<double>(impl->packed_bytes(desc)), one.bytes - 4.0 * (512 + 1536));
  }
}

// Activations of a byte a column are multiplied as integers, of two bytes as bf16; by tiles where the tokens are many.
TEST_P(LinearKernel, CostNamesTheArithmetic) {
  const auto& [impl, format, emulated] = GetParam();
  const LinearDesc desc{512, 4096, format};
  const uint64_t bytes = impl->prepared_bytes(desc.cols);
  const bool integer = bytes < 2 * 4096, bf16 = !integer && bytes < 4 * 4096;
  const Arithmetic vectors = integer ? Arithmetic::kInt8 : bf16 ? Arithmetic::kBf16 : Arithmetic::kF32;
  const Arithmetic tiles = integer ? Arithmetic::kInt8Tile : Arithmetic::kBf16Tile;
  const bool amx = (impl->needs & (kIsaAmxInt8 | kIsaAmxBf16)) != 0;
  EXPECT_EQ(impl->cost(desc, 512).arithmetic, amx ? tiles : vectors);
  EXPECT_EQ(impl->cost(desc, 1).arithmetic, amx && bf16 ? tiles : vectors);  // integer rows leave one to vectors
}

INSTANTIATE_TEST_SUITE_P(All, LinearKernel, testing::ValuesIn(runnable()), test_name);

}  // namespace
}  // namespace tern
