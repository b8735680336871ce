// Decode products on the GPU against plain sums in f64 over the same weights.
#include "kernels/linear/decode_product.h"

#include <gtest/gtest.h>

#include "decode_product_case.h"

namespace tern {
namespace {

using test::check_cuda;
using test::DeviceMemory;
using namespace decode_case;

struct Shape {
  int64_t rows, cols;
};

class DecodeProduct : public testing::TestWithParam<DecodeWeight> {
 protected:
  void SetUp() override {
    if (!test::has_device()) GTEST_SKIP() << "no CUDA device";
    impl_ = impl_of(GetParam());
    ASSERT_NE(impl_, nullptr);
  }

  // y [tokens, rows + 3] of the first `tokens` tokens; the three columns behind stay as they were.
  std::vector<uint16_t> run(const DecodeProductArgs& like, int64_t tokens, int64_t y_stride, bool overlap) {
    DecodeProductArgs args = like;
    const DeviceMemory y(std::vector<uint16_t>(static_cast<size_t>(tokens * y_stride), kPoison));
    args.y = y.data();
    args.y_stride = y_stride;
    args.tokens = tokens;
    args.overlap = overlap;
    check_cuda(static_cast<cudaError_t>(impl_->run(args, nullptr)), "run");
    check_cuda(cudaDeviceSynchronize(), "synchronize");
    return y.to_host<uint16_t>();
  }

  const DecodeProductImpl* impl_ = nullptr;
};

// |y - exact| within bf16's rounding of y and f32's of the sum; with offsets the two parts of a weight, each larger
// than it, are summed apart.
void expect_close(const Weights& weights, const std::vector<uint16_t>& x, int64_t x_stride,
                  const std::vector<uint16_t>& y, int64_t y_stride, int64_t tokens) {
  const double rounding = weights.desc.weight == DecodeWeight::kW4Block32Offset ? 0x1p-17 : 0x1p-20;
  const int64_t step = weights.desc.rows * weights.desc.cols > 4 << 20 ? 13 : 1;
  std::vector<float> row_values(static_cast<size_t>(weights.desc.cols));
  for (int64_t row = 0; row < weights.desc.rows; row += step) {
    std::vector<double> values;
    for (int64_t col = 0; col < weights.desc.cols; ++col) values.push_back(weights.at(row, col));
    for (int64_t token = 0; token < tokens; ++token) {
      double sum = 0, magnitude = 0;
      for (int64_t col = 0; col < weights.desc.cols; ++col) {
        const double product =
            values[static_cast<size_t>(col)] * f32_from_bf16(x[static_cast<size_t>(token * x_stride + col)]);
        sum += product;
        magnitude += std::fabs(product);
      }
      const double result = f32_from_bf16(y[static_cast<size_t>(token * y_stride + row)]);
      ASSERT_LE(std::fabs(result - sum), std::fabs(sum) * 0x1p-8 + magnitude * rounding)
          << weights.desc.rows << "x" << weights.desc.cols << " row " << row << " token " << token << ": " << result
          << " instead of " << sum;
    }
  }
}

TEST_P(DecodeProduct, EqualsThePlainSumWhateverTheShapeAndTheCompany) {
  const Shape shapes[] = {{4096, 4096}, {6144, 4096}, {4096, 14336}, {576, 576},  {1536, 576}, {576, 1536}, {896, 896},
                          {4864, 896},  {896, 4864},  {128, 896},    {192, 576},  {1000, 640}, {1, 64},     {17, 2112},
                          {40, 4096},   {5, 14336},   {33, 8192},    {4095, 192}, {2048, 128}};
  std::mt19937 random(7);
  for (const Shape& shape : shapes) {
    const DecodeProductDesc desc = {shape.rows, shape.cols, GetParam()};
    if (desc.weight == DecodeWeight::kW4Block32Offset && shape.cols % 256 != 0) continue;  // Q4_K has no such rows
    ASSERT_TRUE(impl_->supports(desc)) << shape.rows << "x" << shape.cols;
    const Weights weights = random_weights(desc, random);
    const int64_t x_stride = shape.cols + 8, y_stride = shape.rows + 3;
    const std::vector<uint16_t> x = random_tokens(shape.cols, x_stride, random);
    const DeviceMemory weights_there(weights.bytes), scales_there(weights.scales), x_there(x);
    const DecodeProductArgs args = {desc,
                                    weights_there.data(),
                                    reinterpret_cast<const float*>(scales_there.data()),
                                    x_there.data(),
                                    x_stride,
                                    nullptr,
                                    0,
                                    0,
                                    false};
    const std::vector<uint16_t> all = run(args, kTokens, y_stride, false);
    expect_close(weights, x, x_stride, all, y_stride, kTokens);
    for (const int64_t tokens : {1, 2, 3, 4, 7, 8, 9, 15}) {
      const std::vector<uint16_t> some = run(args, tokens, y_stride, tokens % 2 == 0);
      ASSERT_TRUE(std::equal(some.begin(), some.end(), all.begin()))
          << shape.rows << "x" << shape.cols << ": " << tokens << " tokens give other bits";
    }
    for (int64_t token = 0; token < kTokens; ++token) {
      for (int64_t i = shape.rows; i < y_stride; ++i)
        ASSERT_EQ(all[static_cast<size_t>(token * y_stride + i)], kPoison);
    }
  }
}

// Launches that overlap and depend on each other, in a graph, against the same one after the other.
TEST_P(DecodeProduct, OverlappedLaunchesWaitForTheirInput) {
  constexpr int64_t kSize = 2048, kLength = 12;
  std::mt19937 random(8);
  std::vector<DeviceMemory> weights, scales, rows;
  const DecodeProductDesc desc = {kSize, kSize, GetParam()};
  for (int64_t i = 0; i < 3; ++i) {
    const Weights matrix = random_weights(desc, random);
    weights.emplace_back(matrix.bytes);
    scales.emplace_back(matrix.scales);
  }
  rows.emplace_back(random_tokens(kSize, kSize, random));
  for (int64_t i = 0; i < kLength; ++i) rows.emplace_back(static_cast<size_t>(kTokens * kSize * 2));
  for (const int64_t tokens : {1, 8, 16}) {
    std::vector<std::vector<uint16_t>> results;
    for (const bool overlap : {false, true}) {
      for (int64_t i = 1; i <= kLength; ++i) check_cuda(cudaMemset(rows[i].data(), 0xff, rows[i].bytes()), "memset");
      cudaStream_t stream;
      cudaGraph_t graph;
      cudaGraphExec_t executable;
      check_cuda(cudaStreamCreate(&stream), "stream");
      check_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
      for (int64_t i = 0; i < kLength; ++i) {
        const DecodeProductArgs args = {desc,
                                        weights[i % 3].data(),
                                        reinterpret_cast<const float*>(scales[i % 3].data()),
                                        rows[i].data(),
                                        kSize,
                                        rows[i + 1].data(),
                                        kSize,
                                        tokens,
                                        overlap};
        check_cuda(static_cast<cudaError_t>(impl_->run(args, stream)), "run");
      }
      check_cuda(cudaStreamEndCapture(stream, &graph), "capture");
      check_cuda(cudaGraphInstantiate(&executable, graph, 0), "instantiate");
      for (int repeat = 0; repeat < 20; ++repeat) check_cuda(cudaGraphLaunch(executable, stream), "launch");
      check_cuda(cudaStreamSynchronize(stream), "synchronize");
      results.push_back(rows[kLength].to_host<uint16_t>());
      cudaGraphExecDestroy(executable);
      cudaGraphDestroy(graph);
      cudaStreamDestroy(stream);
    }
    results[0].resize(static_cast<size_t>(tokens * kSize));
    results[1].resize(static_cast<size_t>(tokens * kSize));
    EXPECT_EQ(results[0], results[1]) << tokens;
    EXPECT_TRUE(std::isfinite(f32_from_bf16(results[0][5])));
  }
}

TEST_P(DecodeProduct, RefusesWhatItCannotDo) {
  EXPECT_FALSE(impl_->supports({16, 100, GetParam()}));
  EXPECT_FALSE(impl_->supports({0, 128, GetParam()}));
  DecodeProductArgs args = {{16, 128, GetParam()}, nullptr, nullptr, nullptr, 128, nullptr, 16, 17, false};
  EXPECT_NE(impl_->run(args, nullptr), 0);
  args.tokens = 0;
  EXPECT_NE(impl_->run(args, nullptr), 0);
}

INSTANTIATE_TEST_SUITE_P(Weights, DecodeProduct,
                         testing::Values(DecodeWeight::kBf16, DecodeWeight::kFp8Channel, DecodeWeight::kFp8Block,
                                         DecodeWeight::kW4, DecodeWeight::kW4Block32, DecodeWeight::kW4Block32Offset),
                         name_of_weight);

}  // namespace
}  // namespace tern
