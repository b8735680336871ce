#include "kernels/norm/norm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "paged_cache.h"

namespace tern {
namespace {

using test::random_floats;

constexpr float kEps = 1e-5f;
const std::vector<int64_t> kCols = {1, 7, 16, 64, 80, 100, 576, 1000, 4096};

struct Result {
  std::vector<float> out, sum;
};

// With a bias: the layer norm.
Result run(const std::string& name, const std::vector<float>& x, const std::vector<float>* delta,
           const std::vector<float>& weight, int threads = 1, bool in_place = false,
           const std::vector<float>* bias = nullptr) {
  const int64_t cols = static_cast<int64_t>(weight.size());
  Result result{.out = std::vector<float>(x.size() + 8, -7), .sum = std::vector<float>(x.size() + 8, -7)};
  if (in_place) std::copy(x.begin(), x.end(), result.sum.begin());
  const NormArgs args{.x = in_place ? result.sum.data() : x.data(),
                      .delta = delta != nullptr ? delta->data() : nullptr,
                      .sum = delta != nullptr ? result.sum.data() : nullptr,
                      .weight = weight.data(),
                      .out = result.out.data(),
                      .tokens = static_cast<int64_t>(x.size()) / cols,
                      .cols = cols,
                      .eps = kEps,
                      .centered = bias != nullptr,
                      .bias = bias != nullptr ? bias->data() : nullptr};
  const RmsNorm norm(KernelSelection::parse("norm:" + name));
  EXPECT_EQ(norm.kernel_name(), name);
  ThreadPool pool(threads);
  pool.run([&](const Team& team) { norm.run(args, team); });
  for (size_t i = x.size(); i < x.size() + 8; ++i) EXPECT_EQ(result.out[i], -7) << "written past the end";
  result.out.resize(x.size());
  result.sum.resize(x.size());
  return result;
}

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const KernelListing& kernel : norm_listing()) {
    if (kernel.available) all.emplace_back(kernel.name);
  }
  return all;
}

TEST(Norm, FollowsTheFormula) {
  for (const std::string& name : names()) {
    for (const int64_t cols : kCols) {
      const auto x = random_floats(static_cast<size_t>(5 * cols), 3, 1), delta = random_floats(x.size(), 1, 2);
      const auto weight = random_floats(static_cast<size_t>(cols), 1, 3);
      const Result plain = run(name, x, nullptr, weight), fused = run(name, x, &delta, weight);
      for (int64_t t = 0; t < 5; ++t) {
        double squares[2] = {0, 0};
        for (int64_t i = 0; i < cols; ++i) {
          const size_t at = static_cast<size_t>(t * cols + i);
          ASSERT_EQ(fused.sum[at], x[at] + delta[at]);
          squares[0] += double(x[at]) * x[at];
          squares[1] += double(fused.sum[at]) * fused.sum[at];
        }
        for (int64_t i = 0; i < cols; ++i) {
          const size_t at = static_cast<size_t>(t * cols + i);
          const double w = weight[static_cast<size_t>(i)];
          const double want = x[at] / std::sqrt(squares[0] / double(cols) + kEps) * w;
          const double want_fused = fused.sum[at] / std::sqrt(squares[1] / double(cols) + kEps) * w;
          ASSERT_NEAR(plain.out[at], want, 3e-6 * (std::abs(want) + 0.1)) << name << " " << cols;
          ASSERT_NEAR(fused.out[at], want_fused, 3e-6 * (std::abs(want_fused) + 0.1)) << name << " " << cols;
        }
      }
    }
  }
}

TEST(Norm, SameBitsAloneInPlaceAndShared) {
  for (const std::string& name : names()) {
    for (const int64_t cols : kCols) {
      const auto x = random_floats(static_cast<size_t>(5 * cols), 3, 1), delta = random_floats(x.size(), 1, 2);
      const auto weight = random_floats(static_cast<size_t>(cols), 1, 3);
      const Result whole = run(name, x, &delta, weight);
      const Result in_place = run(name, x, &delta, weight, 2, true);
      EXPECT_EQ(in_place.out, whole.out);
      EXPECT_EQ(in_place.sum, whole.sum);
      EXPECT_EQ(run(name, whole.sum, nullptr, weight).out, whole.out);  // fused equals sum, then norm
      for (int64_t t = 0; t < 5; ++t) {
        const std::vector<float> row(x.begin() + t * cols, x.begin() + (t + 1) * cols);
        const std::vector<float> row_delta(delta.begin() + t * cols, delta.begin() + (t + 1) * cols);
        const Result alone = run(name, row, &row_delta, weight);
        EXPECT_TRUE(std::equal(alone.out.begin(), alone.out.end(), whole.out.begin() + t * cols));
      }
    }
  }
}

// x has a mean of its own: without taking it away the result would be another.
TEST(Norm, LayerNormFollowsTheFormulaAndKeepsItsBits) {
  for (const std::string& name : names()) {
    for (const int64_t cols : kCols) {
      auto x = random_floats(static_cast<size_t>(5 * cols), 3, 1);
      for (float& value : x) value += 2;
      const auto delta = random_floats(x.size(), 1, 2);
      const auto weight = random_floats(static_cast<size_t>(cols), 1, 3), bias = random_floats(weight.size(), 1, 4);
      const Result fused = run(name, x, &delta, weight, 1, false, &bias);
      for (int64_t t = 0; t < 5; ++t) {
        const float* row = fused.sum.data() + t * cols;
        double mean = 0, squares = 0;
        for (int64_t i = 0; i < cols; ++i) mean += row[i] / double(cols);
        for (int64_t i = 0; i < cols; ++i) squares += (row[i] - mean) * (row[i] - mean);
        for (int64_t i = 0; i < cols; ++i) {
          const size_t at = static_cast<size_t>(t * cols + i), c = static_cast<size_t>(i);
          ASSERT_EQ(fused.sum[at], x[at] + delta[at]);
          const double want = (row[i] - mean) / std::sqrt(squares / double(cols) + kEps) * weight[c] + bias[c];
          ASSERT_NEAR(fused.out[at], want, 1e-5 * (std::abs(want) + 1)) << name << " " << cols;
        }
      }
      EXPECT_EQ(run(name, fused.sum, nullptr, weight, 2, false, &bias).out, fused.out);
      EXPECT_EQ(run(name, x, &delta, weight, 2, true, &bias).out, fused.out);
    }
  }
}

}  // namespace
}  // namespace tern
