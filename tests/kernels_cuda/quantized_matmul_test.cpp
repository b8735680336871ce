// What products of many tokens need beside cuBLASLt on a GPU, and its fp8 product, against plain loops.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "core/fp8.h"
#include "core/half.h"
#include "kernels/linear/cuda_matmul.h"
#include "kernels/linear/fp8_rows_gpu.h"
#include "kernels/linear/fp8_unpack_gpu.h"
#include "kernels/linear/w4_block32.h"
#include "kernels/linear/w4_unpack_gpu.h"
#include "quant/q4_0.h"
#include "support/device_memory.h"

namespace tern {
namespace {

using test::DeviceMemory;

class QuantizedMatmul : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::has_device()) GTEST_SKIP() << "no GPU";
  }
  std::vector<uint16_t> halves(int64_t count, float spread) {
    std::normal_distribution<float> normal(0, spread);
    std::vector<uint16_t> out;
    for (int64_t i = 0; i < count; ++i) out.push_back(bf16_from_f32(normal(random_)));
    return out;
  }
  std::mt19937 random_{11};
};

void done(int error) {
  ASSERT_EQ(error, cudaSuccess) << cudaGetErrorString(static_cast<cudaError_t>(error));
  test::check_cuda(cudaDeviceSynchronize(), "synchronize");
}

struct Rounded {
  std::vector<uint8_t> codes;
  std::vector<float> scales;
  double at(int64_t row, int64_t col, int64_t cols) const {
    return static_cast<double>(f32_from_e4m3(codes[static_cast<size_t>(row * cols + col)])) *
           static_cast<double>(scales[static_cast<size_t>(row)]);
  }
};

// By the definition.
Rounded rounded(const std::vector<uint16_t>& in, int64_t rows, int64_t cols) {
  Rounded out;
  for (int64_t r = 0; r < rows; ++r) {
    float most = 0;
    const auto value = [&](int64_t c) { return f32_from_bf16(in[static_cast<size_t>(r * cols + c)]); };
    for (int64_t c = 0; c < cols; ++c) most = std::max(most, std::fabs(value(c)));
    const float scale = most > 0 ? most / 448.0f : 1.0f;
    out.scales.push_back(scale);
    for (int64_t c = 0; c < cols; ++c) out.codes.push_back(e4m3_from_f32(value(c) / scale));
  }
  return out;
}

TEST_F(QuantizedMatmul, Fp8RowsHaveTheNearestCodes) {
  for (int64_t cols : {8, 576, 2048, 4104, 14336}) {
    auto in = halves(5 * cols, 0.7f);
    std::fill_n(in.begin() + cols, cols, uint16_t{0});  // a row of zeros
    const DeviceMemory d_in(in), out(std::vector<uint8_t>(static_cast<size_t>(5 * cols), 0x7f));
    const DeviceMemory scales(std::vector<float>(5, NAN));
    done(kGpuFp8RowsSm90.run({d_in.data(), out.data(), reinterpret_cast<float*>(scales.data()), 5, cols, cols == 576},
                             nullptr));
    const Rounded want = rounded(in, 5, cols);
    EXPECT_EQ(scales.to_host<float>(), want.scales) << cols;
    EXPECT_EQ(out.to_host<uint8_t>(), want.codes) << cols;
  }
}

TEST_F(QuantizedMatmul, W4UnpackDecodes) {
  const int64_t shapes[][2] = {{16, 128}, {48, 256}, {33, 96}, {1024, 896}, {7, 32}};
  for (const auto& [rows, cols] : shapes) {
    std::vector<BlockQ4_0> blocks(static_cast<size_t>(rows * cols / 32));
    for (BlockQ4_0& block : blocks) {
      block.d = f16_from_f32(static_cast<float>(random_() % 1000 + 1) * 1e-4f);
      for (uint8_t& pair : block.qs) pair = static_cast<uint8_t>(random_() >> 24);
    }
    const auto* file = reinterpret_cast<const std::byte*>(blocks.data());
    std::vector<float> want(static_cast<size_t>(rows * cols));
    decode_q4_0(file, rows * cols / 32, want.data());
    std::vector<std::byte> packed(static_cast<size_t>(w4::block32_bytes(rows, cols, false)));
    w4::pack_q4_0(file, rows, cols, packed.data());
    const DeviceMemory d_packed(packed), out(std::vector<uint16_t>(want.size(), 0x7fc0));
    done(kGpuW4UnpackSm90.run({d_packed.data(), out.data(), rows, cols, false, rows == 48}, nullptr));
    const auto got = out.to_host<uint16_t>();
    for (size_t i = 0; i < want.size(); ++i)
      ASSERT_EQ(got[i], bf16_from_f32(want[i])) << rows << "x" << cols << " " << i;
  }
}

TEST_F(QuantizedMatmul, Fp8BlocksUnpackToTheNearestBf16) {
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{128, 128}, {300, 576}, {16, 8}, {1024, 2056}}) {
    const int64_t across = (cols + 127) / 128;
    std::vector<uint8_t> codes(static_cast<size_t>(rows * cols));
    for (uint8_t& code : codes) code = static_cast<uint8_t>(random_() % 0x7f | random_() % 2 << 7);  // no NaN
    std::vector<float> scales(static_cast<size_t>((rows + 127) / 128 * across));
    for (float& scale : scales) scale = 1e-3f * static_cast<float>(1 + random_() % 1000);
    const DeviceMemory d_codes(codes), d_scales(scales), out(std::vector<uint16_t>(codes.size(), 0x7fc0));
    done(kGpuFp8UnpackSm90.run(
        {d_codes.data(), reinterpret_cast<const float*>(d_scales.data()), out.data(), rows, cols, rows == 300},
        nullptr));
    const auto got = out.to_host<uint16_t>();
    for (int64_t i = 0; i < rows * cols; ++i) {
      const float scale = scales[static_cast<size_t>(i / cols / 128 * across + i % cols / 128)];
      const float value = f32_from_e4m3(codes[static_cast<size_t>(i)]) * scale;
      ASSERT_EQ(got[static_cast<size_t>(i)], bf16_from_f32(value)) << rows << "x" << cols << " " << i;
    }
  }
}

// Codes and scales are what they are: only the sums may differ, which the matrix unit keeps to about 14 bits.
TEST_F(QuantizedMatmul, Fp8ProductEqualsThePlainSum) {
  CudaMatmul matmul;
  const int64_t shapes[][3] = {{64, 64, 17}, {576, 1536, 33}, {1024, 4096, 128}, {128, 14336, 1}, {48, 16, 100}};
  for (const bool f32_out : {false, true}) {
    for (const auto& [rows, cols, tokens] : shapes) {
      const Rounded w = rounded(halves(rows * cols, 0.02f), rows, cols);
      const Rounded x = rounded(halves(tokens * cols, 1.0f), tokens, cols);
      const DeviceMemory d_w(w.codes), d_ws(w.scales), d_x(x.codes), d_xs(x.scales);
      const DeviceMemory y(std::vector<uint32_t>(static_cast<size_t>(rows * tokens), 0xffffffffu));
      matmul.run({.rows = rows, .cols = cols, .tokens = tokens, .f32_out = f32_out, .fp8 = true},
                 {.w = d_w.data(),
                  .x = d_x.data(),
                  .y = y.data(),
                  .w_scales = reinterpret_cast<const float*>(d_ws.data()),
                  .x_scales = reinterpret_cast<const float*>(d_xs.data())},
                 nullptr);
      done(0);
      const auto words = y.to_host<uint16_t>();
      const auto floats = y.to_host<float>();
      double error = 0, norm = 0;
      for (int64_t t = 0; t < tokens; ++t) {
        for (int64_t r = 0; r < rows; r += 3) {
          double sum = 0;
          for (int64_t c = 0; c < cols; ++c) sum += w.at(r, c, cols) * x.at(t, c, cols);
          const auto i = static_cast<size_t>(t * rows + r);
          const double got = f32_out ? floats[i] : f32_from_bf16(words[i]);
          error += (got - sum) * (got - sum);
          norm += sum * sum;
        }
      }
      EXPECT_LE(std::sqrt(error / norm), 4e-3) << rows << "x" << cols << " " << tokens << " f32 " << f32_out;
    }
  }
}

// A token's results do not depend on how many others there are, nor on its place among them.
void expect_same_bits(std::vector<uint16_t> w, std::vector<uint16_t> x, int64_t rows, int64_t cols, bool f32_out) {
  CudaMatmul matmul(true);
  const DeviceMemory d_w(w);
  const auto run = [&](int64_t begin, int64_t tokens) {
    const std::vector<uint16_t> part(x.begin() + begin * cols, x.begin() + (begin + tokens) * cols);
    const DeviceMemory d_x(part);
    const DeviceMemory y(std::vector<uint32_t>(static_cast<size_t>(rows * tokens), 0xffffffffu));
    matmul.run({.rows = rows, .cols = cols, .tokens = tokens, .f32_out = f32_out},
               {.w = d_w.data(), .x = d_x.data(), .y = y.data()}, nullptr);
    done(0);
    std::vector<uint32_t> out = y.to_host<uint32_t>();
    if (!f32_out) out.resize(static_cast<size_t>(rows * tokens / 2));
    return out;
  };
  const auto total = static_cast<int64_t>(x.size()) / cols;
  const std::vector<uint32_t> all = run(0, total);
  const auto words = static_cast<int64_t>(all.size()) / total;  // of a token
  for (const auto& [begin, tokens] : {std::pair<int64_t, int64_t>{0, 1},
                                      {total - 1, 1},
                                      {7, 2},
                                      {3, 16},
                                      {100, 17},
                                      {50, 64},
                                      {1, 128},
                                      {5, 129},
                                      {0, 300},
                                      {0, 600}}) {
    const std::vector<uint32_t> part = run(begin, tokens);
    const auto first = all.begin() + begin * words;
    EXPECT_TRUE(std::equal(part.begin(), part.end(), first))
        << rows << "x" << cols << " tokens " << begin << " to " << begin + tokens << " f32 " << f32_out;
  }
}

TEST_F(QuantizedMatmul, OneAlgorithmGivesATokenTheSameBitsInAnyCompany) {
  const std::pair<int64_t, int64_t> shapes[] = {{64, 64}, {576, 1536}, {4096, 4096}, {6144, 4096}, {4096, 14336}};
  for (const auto& [rows, cols] : shapes) {
    for (const bool f32_out : {false, true}) {
      expect_same_bits(halves(rows * cols, 0.02f), halves(700 * cols, 1.0f), rows, cols, f32_out);
    }
  }
}

}  // namespace
}  // namespace tern
