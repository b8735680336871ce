// Products of many tokens with 4-bit weights on the GPU against sums in f64 over what the formats' decoders give.
#include "kernels/linear/w4_product.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "core/half.h"
#include "kernels/linear/w4_block32.h"
#include "quant/q4_0.h"
#include "quant/q4_k.h"
#include "support/device_memory.h"

namespace tern {
namespace {

using test::check_cuda;
using test::DeviceMemory;

constexpr uint16_t kPoison = 0x7fc1;  // a bf16 NaN that no kernel makes

struct Weights {
  DecodeProductDesc desc;
  std::vector<std::byte> packed;
  std::vector<float> values;  // [rows, cols]
};

class W4Product : public testing::TestWithParam<DecodeWeight> {
 protected:
  void SetUp() override {
    if (!test::has_device()) GTEST_SKIP() << "no CUDA device";
    for (int i = 0; i < kW4ProductSm90.count; ++i) {
      if (kW4ProductSm90.rows[i].weight == GetParam()) impl_ = &kW4ProductSm90.rows[i];
    }
    ASSERT_NE(impl_, nullptr);
    check_cuda(cudaMemset(workspace_.data(), 0, workspace_.bytes()), "memset");
  }
  bool offsets() const { return GetParam() == DecodeWeight::kW4Block32Offset; }

  // Random codes; scales that are `whole` make weights and their sums exact in bf16 and f32.
  Weights random_weights(int64_t rows, int64_t cols, bool whole) {
    Weights out = {{rows, cols, GetParam()}, {}, std::vector<float>(static_cast<size_t>(rows * cols))};
    out.packed.resize(static_cast<size_t>(w4::block32_bytes(rows, cols, offsets())));
    const auto code_pair = [&] { return static_cast<uint8_t>(random_() >> 24); };
    if (offsets()) {
      std::vector<BlockQ4_K> blocks(static_cast<size_t>(rows * cols / 256));
      for (BlockQ4_K& block : blocks) {
        for (uint8_t& pair : block.qs) pair = code_pair();
        for (uint8_t& byte : block.scales) byte = code_pair() & (whole ? 0x0f : 0xff);
        block.d = f16_from_f32(whole ? 0.25f : 1e-4f * static_cast<float>(1 + random_() % 8));
        block.dmin = f16_from_f32(whole ? 0.25f : 5e-4f * static_cast<float>(1 + random_() % 8));
      }
      const auto* file = reinterpret_cast<const std::byte*>(blocks.data());
      decode_q4_k(file, rows * cols / 256, out.values.data());
      w4::pack_q4_k(file, rows, cols, out.packed.data());
    } else {
      std::vector<BlockQ4_0> blocks(static_cast<size_t>(rows * cols / 32));
      for (BlockQ4_0& block : blocks) {
        for (uint8_t& pair : block.qs) pair = code_pair();
        block.d = f16_from_f32(whole ? std::ldexp(1.0f, static_cast<int>(random_() % 4) - 3)
                                     : 1e-4f * static_cast<float>(1 + random_() % 1000));
      }
      const auto* file = reinterpret_cast<const std::byte*>(blocks.data());
      decode_q4_0(file, rows * cols / 32, out.values.data());
      w4::pack_q4_0(file, rows, cols, out.packed.data());
    }
    return out;
  }

  // [tokens, stride]; what is behind the columns must not be read, so it is NaN.
  std::vector<uint16_t> random_tokens(int64_t tokens, int64_t cols, int64_t stride, bool whole) {
    std::normal_distribution<float> normal;
    std::vector<uint16_t> x(static_cast<size_t>(tokens * stride), kPoison);
    for (int64_t token = 0; token < tokens; ++token) {
      for (int64_t col = 0; col < cols; ++col) {
        x[static_cast<size_t>(token * stride + col)] =
            bf16_from_f32(whole ? static_cast<float>(random_() % 5) - 2 : normal(random_));
      }
    }
    return x;
  }

  // y [tokens, y_stride], poison where nothing was written.
  std::vector<uint16_t> run(const DecodeProductDesc& desc, const DeviceMemory& weights, const DeviceMemory& x,
                            int64_t x_stride, int64_t y_stride, int64_t tokens, bool overlap) {
    const DeviceMemory y(std::vector<uint16_t>(static_cast<size_t>((tokens + 1) * y_stride), kPoison));
    check_cuda(static_cast<cudaError_t>(impl_->run(
                   {desc, weights.data(), x.data(), x_stride, y.data(), y_stride, tokens, workspace_.data(), overlap},
                   nullptr)),
               "run");
    check_cuda(cudaDeviceSynchronize(), "synchronize");
    return y.to_host<uint16_t>();
  }

  const W4ProductImpl* impl_ = nullptr;
  std::mt19937 random_{7};
  DeviceMemory workspace_{test::has_device() ? static_cast<size_t>(w4_product_workspace_bytes()) : 0};
};

double exact(const Weights& weights, const std::vector<uint16_t>& x, int64_t x_stride, int64_t row, int64_t token) {
  double sum = 0;
  for (int64_t col = 0; col < weights.desc.cols; ++col) {
    sum += static_cast<double>(weights.values[static_cast<size_t>(row * weights.desc.cols + col)]) *
           f32_from_bf16(x[static_cast<size_t>(token * x_stride + col)]);
  }
  return sum;
}

struct Shape {
  int64_t rows, cols, tokens;
};
// Tiles that are whole, cut, and not full; one block and many; columns and rows that end inside a block of the layout.
constexpr Shape kShapes[] = {{256, 256, 16},   {4096, 256, 17},   {512, 4096, 33},  {1024, 1024, 64}, {768, 512, 65},
                             {6144, 256, 128}, {256, 14336, 129}, {1008, 768, 200}, {16, 256, 1},     {33, 2304, 130},
                             {577, 512, 31},   {8192, 256, 1000}, {4096, 512, 513}, {34048, 256, 100}};

// Whole numbers: nothing is rounded but y, so every bit is known.
TEST_P(W4Product, IsExactWhereItCanBe) {
  for (const Shape& shape : kShapes) {
    const Weights weights = random_weights(shape.rows, shape.cols, true);
    ASSERT_TRUE(impl_->supports(weights.desc));
    const int64_t x_stride = shape.cols + 8, y_stride = shape.rows + 4 - shape.rows % 2;
    const auto x = random_tokens(shape.tokens, shape.cols, x_stride, true);
    const DeviceMemory there(weights.packed), x_there(x);
    const auto y = run(weights.desc, there, x_there, x_stride, y_stride, shape.tokens, shape.tokens % 2 == 0);
    const int64_t step = 1 + shape.rows * shape.cols / 65536 * shape.tokens / 64;
    for (int64_t i = 0; i < shape.rows * shape.tokens; i += step) {
      const int64_t token = i / shape.rows, row = i % shape.rows;
      const auto want = bf16_from_f32(static_cast<float>(exact(weights, x, x_stride, row, token)));
      ASSERT_EQ(f32_from_bf16(y[static_cast<size_t>(token * y_stride + row)]), f32_from_bf16(want))
          << shape.rows << "x" << shape.cols << " row " << row << " token " << token << " of " << shape.tokens;
    }
    for (int64_t token = 0; token <= shape.tokens; ++token) {
      for (int64_t row = token < shape.tokens ? shape.rows : 0; row < y_stride; ++row) {
        ASSERT_EQ(y[static_cast<size_t>(token * y_stride + row)], kPoison) << "written behind row or token";
      }
    }
  }
}

// Weights are rounded to bf16 twice, scale and product, y once.
TEST_P(W4Product, IsCloseForAnyScales) {
  for (const Shape& shape : kShapes) {
    const Weights weights = random_weights(shape.rows, shape.cols, false);
    auto x = random_tokens(shape.tokens, shape.cols, shape.cols, false);
    x[static_cast<size_t>(shape.cols / 2)] = bf16_from_f32(1000.0f);  // an outlier, as activations have them
    const DeviceMemory there(weights.packed), x_there(x);
    const int64_t y_stride = shape.rows + shape.rows % 2;
    const auto y = run(weights.desc, there, x_there, shape.cols, y_stride, shape.tokens, false);
    double error = 0, norm = 0;
    const int64_t step = 1 + shape.rows * shape.cols / 65536 * shape.tokens / 64;
    for (int64_t i = 0; i < shape.rows * shape.tokens; i += step) {
      const int64_t token = i / shape.rows, row = i % shape.rows;
      const double want = exact(weights, x, shape.cols, row, token);
      const double got = f32_from_bf16(y[static_cast<size_t>(token * y_stride + row)]);
      error += (got - want) * (got - want);
      norm += want * want;
    }
    EXPECT_LE(error / norm, 2e-5) << shape.rows << "x" << shape.cols << " tokens " << shape.tokens;
  }
}

// Launches that overlap and depend on each other, in a graph, against the same one after the other; many times, so that
// the counters of cut tiles have to come back to zero.
TEST_P(W4Product, OverlappedLaunchesWaitForTheirInput) {
  constexpr int64_t kSize = 1024;
  constexpr size_t kLength = 8;
  std::vector<DeviceMemory> weights;
  const DecodeProductDesc desc = {kSize, kSize, GetParam()};
  for (int i = 0; i < 3; ++i) weights.emplace_back(random_weights(kSize, kSize, false).packed);
  for (const int64_t tokens : {16, 40, 64, 300}) {
    std::vector<DeviceMemory> rows;
    rows.emplace_back(random_tokens(tokens, kSize, kSize, false));
    for (size_t i = 0; i < kLength; ++i) rows.emplace_back(static_cast<size_t>(tokens * kSize * 2));
    std::vector<std::vector<uint16_t>> results;
    for (const bool overlap : {false, true}) {
      for (size_t i = 1; i <= kLength; ++i) check_cuda(cudaMemset(rows[i].data(), 0xff, rows[i].bytes()), "memset");
      cudaStream_t stream;
      cudaGraph_t graph;
      cudaGraphExec_t executable;
      check_cuda(cudaStreamCreate(&stream), "stream");
      check_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
      for (size_t i = 0; i < kLength; ++i) {
        check_cuda(static_cast<cudaError_t>(impl_->run({desc, weights[i % 3].data(), rows[i].data(), kSize,
                                                        rows[i + 1].data(), kSize, tokens, workspace_.data(), overlap},
                                                       stream)),
                   "run");
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
    EXPECT_EQ(results[0], results[1]) << tokens;
    EXPECT_TRUE(std::isfinite(f32_from_bf16(results[0][5])));
  }
}

TEST_P(W4Product, RefusesWhatItCannotDo) {
  EXPECT_FALSE(impl_->supports({16, 100, GetParam()}));
  EXPECT_FALSE(impl_->supports({0, 128, GetParam()}));
  EXPECT_FALSE(impl_->supports({16, 128, DecodeWeight::kBf16}));
  W4ProductArgs args = {{16, 128, GetParam()}, nullptr, nullptr, 128, nullptr, 16, 0, nullptr, false};
  EXPECT_NE(impl_->run(args, nullptr), 0);
  args.tokens = 1, args.x_stride = 100;
  EXPECT_NE(impl_->run(args, nullptr), 0);
}

std::string name_of(const testing::TestParamInfo<DecodeWeight>& weight) {
  return weight.param == DecodeWeight::kW4Block32 ? "Q4_0" : "Q4_K";
}
INSTANTIATE_TEST_SUITE_P(Weights, W4Product, testing::Values(DecodeWeight::kW4Block32, DecodeWeight::kW4Block32Offset),
                         name_of);

}  // namespace
}  // namespace tern
