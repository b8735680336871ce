// Random weights of every format that decode products take, as bytes and as exact numbers, and random tokens.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "core/fp8.h"
#include "core/half.h"
#include "kernels/linear/decode_product.h"
#include "kernels/linear/w4_block32.h"
#include "quant/q4_0.h"
#include "quant/q4_k.h"
#include "support/device_memory.h"

namespace tern::decode_case {

constexpr int64_t kTokens = kDecodeProductMaxTokens;
constexpr uint16_t kPoison = 0x7fc1;  // a bf16 NaN that no kernel makes

// A matrix as the kernel reads it, and as numbers: codes and scales are exact in f32, their products in f64.
struct Weights {
  DecodeProductDesc desc;
  std::vector<std::byte> bytes;
  std::vector<float> scales;
  std::vector<double> values;  // of kW4Block32 and kW4Block32Offset

  double at(int64_t row, int64_t col) const {
    const int64_t i = row * desc.cols + col;
    switch (desc.weight) {
      case DecodeWeight::kBf16: {
        uint16_t bits;
        std::memcpy(&bits, &bytes[static_cast<size_t>(2 * i)], 2);
        return f32_from_bf16(bits);
      }
      case DecodeWeight::kFp8Channel:
        return static_cast<double>(f32_from_e4m3(static_cast<uint8_t>(bytes[static_cast<size_t>(i)]))) *
               scales[static_cast<size_t>(row)];
      case DecodeWeight::kFp8Block:
        return static_cast<double>(f32_from_e4m3(static_cast<uint8_t>(bytes[static_cast<size_t>(i)]))) *
               scales[static_cast<size_t>(row / 128 * ((desc.cols + 127) / 128) + col / 128)];
      case DecodeWeight::kW4:
        return w4::at(bytes.data(), desc.rows, desc.cols, row, col);
      case DecodeWeight::kW4Block32:
      case DecodeWeight::kW4Block32Offset:
        return values[static_cast<size_t>(i)];
    }
    return 0;
  }
};

// Scale and offset rounded to f16, as the packed layout has them.
inline void random_q4_k(Weights& weights, std::mt19937& random) {
  const auto count = static_cast<size_t>(weights.desc.rows * weights.desc.cols);
  std::vector<BlockQ4_K> blocks(count / 256);
  for (BlockQ4_K& block : blocks) {
    for (uint8_t& byte : block.scales) byte = static_cast<uint8_t>(random() >> 24);
    for (uint8_t& byte : block.qs) byte = static_cast<uint8_t>(random() >> 24);
    block.d = f16_from_f32(1e-4f * static_cast<float>(1 + random() % 8));
    block.dmin = f16_from_f32(5e-4f * static_cast<float>(1 + random() % 8));
    for (int64_t i = 0; i < 256; ++i) {
      const ScaleMinK sub = scale_min_k(block.scales, static_cast<int>(i / 32));
      const float scale = f32_from_f16(f16_from_f32(f32_from_f16(block.d) * static_cast<float>(sub.scale)));
      const float minimum = f32_from_f16(block.dmin) * static_cast<float>(sub.minimum);
      const double offset = f32_from_f16(f16_from_f32(8 * scale - minimum));
      const int code = block.qs[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15;
      weights.values.push_back(static_cast<double>(scale) * (code - 8) + offset);
    }
  }
  const auto* file = reinterpret_cast<const std::byte*>(blocks.data());
  std::vector<float> decoded(count);
  decode_q4_k(file, static_cast<int64_t>(blocks.size()), decoded.data());
  for (size_t i = 0; i < count; ++i) {  // finer than a rounding to bf16: of the largest weight of a sub-block
    ASSERT_NEAR(weights.values[i], decoded[i], 0.3 * 0x1p-9);
  }
  weights.bytes.resize(static_cast<size_t>(w4::block32_bytes(weights.desc.rows, weights.desc.cols, true)));
  w4::pack_q4_k(file, weights.desc.rows, weights.desc.cols, weights.bytes.data());
}

inline Weights random_weights(const DecodeProductDesc& desc, std::mt19937& random) {
  Weights weights = {desc, {}, {}, {}};
  const auto count = static_cast<size_t>(desc.rows * desc.cols);
  const auto scale = [&] { return 0.01f * (0.5f + static_cast<float>(random() % 1024) / 1024); };
  if (desc.weight == DecodeWeight::kW4) {
    std::vector<uint8_t> codes(count);
    for (uint8_t& code : codes) code = static_cast<uint8_t>(random() >> 28);
    std::vector<uint16_t> scales(static_cast<size_t>(desc.rows * w4::groups(desc.cols)));
    for (uint16_t& bits : scales) bits = f16_from_f32(scale());
    weights.bytes.resize(static_cast<size_t>(w4::packed_bytes(desc.rows, desc.cols)));
    w4::pack(codes.data(), scales.data(), desc.rows, desc.cols, weights.bytes.data());
  } else if (desc.weight == DecodeWeight::kW4Block32) {
    std::vector<BlockQ4_0> blocks(count / 32);
    for (BlockQ4_0& block : blocks) {
      block.d = f16_from_f32(scale());
      for (uint8_t& pair : block.qs) pair = static_cast<uint8_t>(random() >> 24);
    }
    const auto* file = reinterpret_cast<const std::byte*>(blocks.data());
    std::vector<float> values(count);
    decode_q4_0(file, static_cast<int64_t>(blocks.size()), values.data());
    weights.values.assign(values.begin(), values.end());
    weights.bytes.resize(static_cast<size_t>(w4::block32_bytes(desc.rows, desc.cols, false)));
    w4::pack_q4_0(file, desc.rows, desc.cols, weights.bytes.data());
  } else if (desc.weight == DecodeWeight::kW4Block32Offset) {
    random_q4_k(weights, random);
  } else if (desc.weight == DecodeWeight::kBf16) {
    weights.bytes.resize(count * 2);
    for (size_t i = 0; i < count; ++i) {
      const uint16_t bits = bf16_from_f32((static_cast<float>(random() >> 8) * 0x1p-23f - 1) * 0.05f);
      std::memcpy(&weights.bytes[2 * i], &bits, 2);
    }
  } else {
    // Every number of the format, subnormal ones too.
    for (size_t i = 0; i < count; ++i) {
      uint8_t bits = static_cast<uint8_t>(random() >> 24);
      if ((bits & 0x7f) == 0x7f) bits ^= 1;
      weights.bytes.push_back(std::byte{bits});
    }
    const bool channel = desc.weight == DecodeWeight::kFp8Channel;
    const int64_t scales = channel ? desc.rows : (desc.rows + 127) / 128 * ((desc.cols + 127) / 128);
    for (int64_t i = 0; i < scales; ++i) weights.scales.push_back(scale());
  }
  return weights;
}

// [kTokens, stride] bf16; what is behind the columns must not be read, so it is NaN.
inline std::vector<uint16_t> random_tokens(int64_t cols, int64_t stride, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<uint16_t> x(static_cast<size_t>(kTokens * stride), kPoison);
  for (int64_t token = 0; token < kTokens; ++token) {
    for (int64_t col = 0; col < cols; ++col)
      x[static_cast<size_t>(token * stride + col)] = bf16_from_f32(normal(random));
  }
  return x;
}

inline const DecodeProductImpl* impl_of(DecodeWeight weight) {
  for (int i = 0; i < kDecodeProductSm90.count; ++i) {
    if (kDecodeProductSm90.rows[i].weight == weight) return &kDecodeProductSm90.rows[i];
  }
  return nullptr;
}

inline std::string name_of_weight(const testing::TestParamInfo<DecodeWeight>& info) {
  const char* names[] = {"Bf16", "Fp8Channel", "Fp8Block", "W4", "W4Block32", "W4Block32Offset"};
  return names[static_cast<int>(info.param)];
}

}  // namespace tern::decode_case
