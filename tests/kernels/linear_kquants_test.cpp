// What the shared table of linear_kernel_test.cpp is too tolerant for. Activations that are whole numbers with a
// largest magnitude of 127 in every block pass through int8 unchanged, so that nothing but f32 rounding may separate a
// kernel from the exact product: a sum that saturates or overflows, a code bit in the wrong place or a correction that
// is off by one shows, however small. And packed layouts must stay as small as promised.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "kernels/linear/linear.h"
#include "quant/format.h"
#include "support/aligned_bytes.h"
#include "support/kernel_cases.h"

namespace tern {
namespace {

using test::WeightCase;

struct ImplFormat {
  const LinearImpl* impl;
  Format format;
};

void PrintTo(const ImplFormat& p, std::ostream* out) { *out << p.impl->name << " " << name_of(p.format); }

// Implementations that round activations to int8, by their own blocks of 32 or 256 elements.
std::vector<ImplFormat> integer_kernels() {
  std::vector<ImplFormat> all;
  for (const LinearImpl* impl : linear_impls()) {
    if (impl->pack == nullptr || (impl->needs & ~detect_isa()) != 0) continue;
    for (const FormatInfo& info : formats()) {
      if (info.block_elements > 1 && impl->supports({32, 512, info.format})) all.push_back({impl, info.format});
    }
  }
  return all;
}

std::string test_name(const testing::TestParamInfo<ImplFormat>& info) {
  return std::string(info.param.impl->name) + "_" + std::string(name_of(info.param.format));
}

using test::AlignedBytes;

// Whole numbers in [-127, 127], the outermost among every 32. [tokens, cols]
std::vector<float> whole_numbers(int64_t tokens, int64_t cols) {
  std::mt19937_64 random(7);
  std::vector<float> x(static_cast<size_t>(tokens * cols));
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t k = 0; k < cols; ++k) {
      float& value = x[static_cast<size_t>(t * cols + k)];
      const int any = static_cast<int>(random() % 255) - 127;
      if (t == 0) value = 127;
      if (t == 1) value = -127;
      if (t == 2) value = k % 2 == 0 ? 127.0f : -127.0f;
      if (t == 3) value = k / 2 % 2 == 0 ? 127.0f : -127.0f;
      if (t == 4) value = k / 4 % 2 == 0 ? 127.0f : -127.0f;
      if (t >= 5) value = k % 32 == t % 32 ? 127.0f : static_cast<float>(any);
    }
  }
  return x;
}

class LinearInteger : public testing::TestWithParam<ImplFormat> {};

TEST_P(LinearInteger, NothingButRoundingOfFloats) {
  const auto& [impl, format] = GetParam();
  constexpr int64_t kRows = 21, kCols = 1024, kTokens = 13;
  const LinearDesc desc{kRows, kCols, format};
  const std::vector<float> x = whole_numbers(kTokens, kCols);
  const auto stride = static_cast<int64_t>(impl->prepared_bytes(kCols));
  AlignedBytes prepared(static_cast<uint64_t>(stride * kTokens)), packed(impl->packed_bytes(desc));
  for (int64_t t = 0; t < kTokens; ++t) prepare_token(*impl, x.data() + t * kCols, kCols, prepared.data(), t, kTokens);
  for (WeightCase weight_case : {WeightCase::kNormal, WeightCase::kExtremeCodes}) {
    const std::vector<std::byte> bytes = test::random_weights(format, kRows, kCols, weight_case, 11);
    std::vector<float> w(kRows * kCols);
    format_info(format).decode(bytes.data(), kRows * kCols / format_info(format).block_elements, w.data());
    const int64_t panels = (kRows + impl->panel_rows - 1) / impl->panel_rows;
    impl->pack(desc, bytes.data(), packed.data(), 0, panels);
    std::vector<float> out(kTokens * kRows);
    impl->run({.desc = desc,
               .weights = packed.data(),
               .prepared = prepared.data(),
               .prepared_stride = stride,
               .tokens = kTokens,
               .out = out.data(),
               .out_stride = kRows,
               .bias = nullptr},
              0, panels);
    for (int64_t t = 0; t < kTokens; ++t) {
      for (int64_t n = 0; n < kRows; ++n) {
        double sum = 0, magnitude = 0;
        for (int64_t k = 0; k < kCols; ++k) {
          const double product = static_cast<double>(w[n * kCols + k]) * x[t * kCols + k];
          sum += product;
          magnitude += std::abs(product);
        }
        // Some f32 operations a block, and code * scale and minimum may cancel: far below one code's worth of 1/1024.
        EXPECT_NEAR(out[t * kRows + n], sum, 3e-6 * magnitude) << "token " << t << " row " << n;
      }
    }
  }
}

// Bytes that a packed element stands for. Formats whose codes are numbers of codebooks are packed as 4-bit codes, with
// a byte of scale for 16 or 32; NVFP4 as bf16.
double file_bytes(Format format) {
  if (format >= Format::kIQ1_S && format <= Format::kTQ2_0) return 146.0 / 256;
  if (format == Format::kNVFP4) return 2;
  return static_cast<double>(format_info(format).block_bytes) / format_info(format).block_elements;
}

// At most 5 % more than the file's bits; MXFP4 has 16 bits of scale for 8, a seventeenth more.
TEST_P(LinearInteger, PackedSize) {
  const auto& [impl, format] = GetParam();
  for (int64_t cols : {768, 1536, 4096}) {
    const LinearDesc desc{512, cols, format};
    const double file = file_bytes(format) * static_cast<double>(desc.rows * cols);
    const double most = format == Format::kMXFP4 ? 1.06 : 1.05;
    EXPECT_LE(static_cast<double>(impl->packed_bytes(desc)), most * file) << cols;
  }
}

INSTANTIATE_TEST_SUITE_P(All, LinearInteger, testing::ValuesIn(integer_kernels()), test_name);

}  // namespace
}  // namespace tern
