// The formats of KV caches, and the int8 code against its definition.
#include "quant/kv_format.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "core/error.h"
#include "quant/format.h"
#include "quant/kv_int8.h"

namespace tern {
namespace {

TEST(KvFormat, RowsFindThemselves) {
  for (const KvFormatInfo& row : kv_formats()) {
    EXPECT_EQ(find_kv_format(row.name), &row);
    EXPECT_EQ(find_kv_format(row.format), &row);
    EXPECT_EQ(kv_name_of(row.format), row.name);
  }
  EXPECT_EQ(find_kv_format("q8_0")->format, kKvInt8);     // llama.cpp's users
  EXPECT_EQ(find_kv_format("fp8_e4m3")->format, kKvFp8);  // vLLM's users
  for (const char* name : {"", "auto", "q4_0", "int3"}) EXPECT_EQ(find_kv_format(name), nullptr) << name;
  EXPECT_EQ(find_format("int8"), nullptr);  // no weights
}

TEST(KvFormat, BytesOfAHead) {
  EXPECT_EQ(kv_head_bytes(Format::kF32, 64), 256);
  EXPECT_EQ(kv_head_bytes(Format::kF16, 80), 160);
  EXPECT_EQ(kv_head_bytes(kKvInt8, 64), 68);
  EXPECT_EQ(kv_head_bytes(kKvFp8, 128), 132);
  EXPECT_THROW(kv_head_bytes(Format::kQ4_K, 64), Error);
}

TEST(KvInt8, CodesAreTheNearest) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0, 1);
  for (const float size : {1.0f, 1e-20f, 1e30f}) {
    std::vector<float> x(96);
    for (float& value : x) value = size * normal(random);
    std::vector<int8_t> codes(x.size());
    const float scale = encode_kv_int8(x.data(), 96, codes.data());
    float largest = 0;
    for (const float value : x) largest = std::max(largest, std::abs(value));
    EXPECT_EQ(scale, largest / 127.0f);
    EXPECT_TRUE(std::ranges::any_of(codes, [](int code) { return std::abs(code) == 127; }));
    for (size_t i = 0; i < x.size(); ++i) EXPECT_LE(std::abs(scale * codes[i] - x[i]), 0.5001f * scale);
  }
}

TEST(KvInt8, ZeroTinyAndNotFinite) {
  std::vector<int8_t> codes(4, 9);
  for (const std::vector<float>& x : {std::vector<float>{0, 0, 0, 0}, {1e-40f, 0, 0, 0}, {1e-31f, -1e-31f, 0, 0}}) {
    EXPECT_EQ(encode_kv_int8(x.data(), 4, codes.data()), 0);
    EXPECT_EQ(codes, std::vector<int8_t>(4, 0));
  }
  for (const std::vector<float>& x : {std::vector<float>{1, NAN, 2, 3}, {INFINITY, 0, 0, 1}, {0, 0, -INFINITY, 1}}) {
    EXPECT_FALSE(std::isfinite(encode_kv_int8(x.data(), 4, codes.data())));
  }
}

}  // namespace
}  // namespace tern
