// GGUF files that are right, and what is refused of those that are not.
#include "formats/gguf.h"

#include <gtest/gtest.h>

#include <limits>

#include "core/limits.h"
#include "outcome.h"
#include "support/gguf_builder.h"

namespace tern::test {
namespace {

constexpr const char* kPath = "some/model.gguf";

using Bytes = std::vector<std::byte>;

// The line with which a file is refused; empty when it loads.
std::string refusal(const Bytes& file) {
  return try_read([&] { return read_gguf(file, kPath); }, kPath, file.size()).message;
}

void expect_refused(GgufBuilder builder, const std::string& part) {
  const std::string message = refusal(builder.build());
  EXPECT_NE(message.find(part), std::string::npos) << "got: " << message << "\nwanted: " << part;
}

TEST(Gguf, EveryValueType) {
  GgufBuilder builder;
  builder.number("u8", uint8_t{255}).number("i8", int8_t{-128}).number("u16", uint16_t{65535});
  builder.number("i16", int16_t{-32768}).number("u32", uint32_t{4294967295u});
  builder.number("i32", std::numeric_limits<int32_t>::min()).number("f32", 0.1f).number("yes", true);
  builder.number("no", false).string("text", "tern").string("empty", "").number("u64", uint64_t{1} << 62);
  builder.number("i64", std::numeric_limits<int64_t>::min()).number("f64", 0.1);
  const Bytes file = builder.build();
  const Checkpoint checkpoint = read_gguf(file, kPath);
  const Metadata& m = checkpoint.metadata;
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min(), kMax = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(m.integer("u8", kMin, kMax), 255);
  EXPECT_EQ(m.integer("i8", kMin, kMax), -128);
  EXPECT_EQ(m.integer("u16", kMin, kMax), 65535);
  EXPECT_EQ(m.integer("i16", kMin, kMax), -32768);
  EXPECT_EQ(m.integer("u32", kMin, kMax), 4294967295);
  EXPECT_EQ(m.integer("i32", kMin, kMax), std::numeric_limits<int32_t>::min());
  EXPECT_EQ(m.number("f32"), double{0.1f});
  EXPECT_TRUE(m.boolean("yes"));
  EXPECT_FALSE(m.boolean("no"));
  EXPECT_EQ(m.string("text"), "tern");
  EXPECT_EQ(m.string("empty"), "");
  EXPECT_EQ(m.integer("u64", kMin, kMax), int64_t{1} << 62);
  EXPECT_EQ(m.integer("i64", kMin, kMax), kMin);
  EXPECT_EQ(m.number("f64"), 0.1);
  EXPECT_EQ(m.keys().size(), 14u);
  EXPECT_EQ(m.keys().front(), "u8");
  EXPECT_EQ(checkpoint.kind, CheckpointKind::kGguf);
}

TEST(Gguf, EveryArrayType) {
  GgufBuilder builder;
  builder.numbers("u8", std::vector<uint8_t>{1, 255}).numbers("i8", std::vector<int8_t>{-1});
  builder.numbers("u16", std::vector<uint16_t>{7}).numbers("i16", std::vector<int16_t>{-7});
  builder.numbers("u32", std::vector<uint32_t>{7, 8, 9}).numbers("i32", std::vector<int32_t>{-7});
  builder.numbers("u64", std::vector<uint64_t>{7}).numbers("i64", std::vector<int64_t>{-7});
  builder.numbers("f32", std::vector<float>{0.5f, -1.5f}).numbers("f64", std::vector<double>{0.25});
  builder.numbers("bool", std::vector<bool>{true, false}).strings("strings", {"a", "", "tern"});
  builder.strings("none", {});
  const Bytes file = builder.build();
  const Checkpoint checkpoint = read_gguf(file, kPath);
  const Metadata& m = checkpoint.metadata;
  EXPECT_EQ(m.array("u8").integers, (std::vector<int64_t>{1, 255}));
  EXPECT_EQ(m.array("i8").integers, (std::vector<int64_t>{-1}));
  EXPECT_EQ(m.integers("u32").size(), 3u);
  EXPECT_EQ(m.integers("u32")[2], 9);
  EXPECT_EQ(m.numbers("i16"), std::vector<double>{-7.0});
  EXPECT_EQ(m.numbers("f32"), (std::vector<double>{0.5, -1.5}));
  EXPECT_EQ(m.numbers("f64"), std::vector<double>{0.25});
  EXPECT_EQ(m.array("bool").booleans, (std::vector<bool>{true, false}));
  EXPECT_EQ(m.strings("strings")[2], "tern");
  EXPECT_EQ(m.strings("none").size(), 0u);
  EXPECT_EQ(m.array("none").size, 0u);
  const auto* inside = reinterpret_cast<const std::byte*>(m.strings("strings")[2].data());
  EXPECT_TRUE(inside >= file.data() && inside < file.data() + file.size()) << "strings are views of the file";
}

TEST(Gguf, LongArraysStayInTheFile) {
  const std::vector<std::string> tokens(100'000, "token");
  const Bytes file = GgufBuilder().strings("tokens", tokens).numbers("types", std::vector<int32_t>(100'000, 1)).build();
  const Checkpoint checkpoint = read_gguf(file, kPath);
  const auto& kept = std::get<MetadataArray>(checkpoint.metadata.find("tokens")->value);
  EXPECT_EQ(kept.strings.capacity(), 0u);
  EXPECT_EQ(kept.encoded.size(), 100'000u * 13);
  EXPECT_EQ(checkpoint.metadata.array_size("types"), 100'000u);
  EXPECT_EQ(checkpoint.metadata.strings("tokens"), std::vector<std::string_view>(100'000, "token"));
  EXPECT_EQ(checkpoint.metadata.integers("types"), std::vector<int64_t>(100'000, 1));
}

TEST(Gguf, ArraysOfTheWrongKindAreNamed) {
  const Bytes file = GgufBuilder().strings("names", {"a"}).numbers("reals", std::vector<float>{1}).build();
  const Metadata metadata = read_gguf(file, kPath).metadata;
  const auto message = [&](const auto& get) {
    try {
      get();
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(message([&] { metadata.integers("names"); }).find("is an array of strings, not"), std::string::npos);
  EXPECT_NE(message([&] { metadata.integer("names", 0, 1); }).find("is an array of strings, not"), std::string::npos);
  EXPECT_NE(message([&] { metadata.strings("reals"); }).find("is an array of numbers, not"), std::string::npos);
}

// `depth` arrays inside one another, the innermost of two bytes.
Bytes nested(uint64_t depth) {
  Bytes value;
  const auto put = [&](uint32_t type, uint64_t count) {
    const auto type_bytes = std::as_bytes(std::span(&type, 1));
    const auto count_bytes = std::as_bytes(std::span(&count, 1));
    value.insert(value.end(), type_bytes.begin(), type_bytes.end());
    value.insert(value.end(), count_bytes.begin(), count_bytes.end());
  };
  for (uint64_t i = 1; i < depth; ++i) put(9, 1);
  put(0, 2);
  value.insert(value.end(), {std::byte{5}, std::byte{6}});
  return value;
}

TEST(Gguf, NestedArraysToTheLimit) {
  const Bytes file = GgufBuilder().raw("deep", 9, nested(Limits::kArrayDepth)).build();
  const Checkpoint checkpoint = read_gguf(file, kPath);
  const MetadataArray deep = checkpoint.metadata.array("deep");
  const MetadataArray* at = &deep;
  for (uint64_t i = 1; i < Limits::kArrayDepth; ++i) {
    ASSERT_EQ(at->arrays.size(), 1u);
    at = &at->arrays[0];
  }
  EXPECT_EQ(at->decoded().integers, (std::vector<int64_t>{5, 6}));
  expect_refused(GgufBuilder().raw("deep", 9, nested(Limits::kArrayDepth + 1)), "array depth 5 exceeds the limit of 4");
  expect_refused(GgufBuilder().raw("deep", 9, nested(100'000)), "array depth 5 exceeds the limit of 4");
}

TEST(Gguf, TensorsAreViewsOutermostFirst) {
  const std::vector<float> values{1, 2, 3, 4, 5, 6};
  const Bytes block(20, std::byte{1});
  for (const uint32_t version : {2u, 3u}) {
    GgufBuilder builder(version);
    builder.alignment(64).tensor_f32("w", {2, 3}, values).tensor("q", {32}, 3, block);
    const Bytes file = builder.build();
    const Checkpoint checkpoint = read_gguf(file, kPath);
    ASSERT_EQ(checkpoint.tensors.size(), 2u);
    const TensorInfo& w = checkpoint.tensor("w");
    EXPECT_EQ(w.shape, (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(w.rows(), 2);
    EXPECT_EQ(w.cols(), 3);
    EXPECT_EQ(w.format, Format::kF32);
    ASSERT_EQ(w.data.size(), 24u);
    EXPECT_EQ(std::memcmp(w.data.data(), values.data(), 24), 0);
    EXPECT_EQ((w.data.data() - file.data()) % 64, 0);
    EXPECT_EQ(checkpoint.tensor("q").format, Format::kQ4_1);
    EXPECT_EQ(checkpoint.tensor_bytes(), 44u);
    EXPECT_EQ(checkpoint.find("absent"), nullptr);
    EXPECT_THROW(checkpoint.tensor("absent"), Error);
  }
}

TEST(Gguf, RefusesOtherVersionsAndByteOrders) {
  expect_refused(GgufBuilder(1), "version at byte 8: 1 is not supported");
  expect_refused(GgufBuilder(4), "version at byte 8: 4 is not supported");
  expect_refused(GgufBuilder(0), "version at byte 8: 0 is not supported");
  expect_refused(GgufBuilder(0x03000000), "big-endian");
  Bytes file = GgufBuilder().build();
  std::memcpy(file.data(), "FUGG", 4);
  EXPECT_NE(refusal(file).find("big-endian"), std::string::npos);
  std::memcpy(file.data(), "GGML", 4);
  EXPECT_NE(refusal(file).find("'GGML' is not 'GGUF'"), std::string::npos);
}

TEST(Gguf, RefusesBadMetadata) {
  expect_refused(GgufBuilder().number("", uint32_t{1}), "key at byte 32: is empty");
  expect_refused(GgufBuilder().number("a", uint32_t{1}).number("a", uint32_t{2}), "a at byte 50: appears twice");
  const Bytes spare(4);
  expect_refused(GgufBuilder().raw("a", 13, spare), "unknown value type 13");
  expect_refused(GgufBuilder().number("a", uint64_t{1} << 63), "exceeds the greatest integer");
  const std::byte two{2};
  expect_refused(GgufBuilder().raw("a", 7, {&two, 1}), "boolean is 2, not 0 or 1");
  expect_refused(GgufBuilder().string(std::string(65'536, 'k'), "v"), "exceeds the limit of 65535");
  expect_refused(GgufBuilder().number("line\nbreak", uint64_t{1} << 63), "line\\x0abreak");
}

TEST(Gguf, RefusesBadAlignment) {
  for (uint32_t type = 0; type < kGgufTypes; ++type) {
    GgufBuilder builder;
    builder.any("general.alignment", static_cast<GgufType>(type));
    const std::string message = refusal(builder.build());
    EXPECT_EQ(message.empty(), static_cast<GgufType>(type) == GgufType::kU32) << type << " " << message;
  }
  for (const uint32_t value : {0u, 1u, 4u, 24u, 33u, 131072u, 1u << 31, 0xffffffffu}) {
    expect_refused(GgufBuilder().number("general.alignment", value), "is not a power of two in [8, 65536]");
  }
  for (uint32_t value = 8; value <= Limits::kAlignment; value *= 2) {
    const float one = 1;
    EXPECT_EQ(refusal(GgufBuilder().alignment(value).tensor_f32("t", {1}, {&one, 1}).build()), "");
  }
}

TEST(Gguf, RefusesBadTensors) {
  const std::vector<float> values(64);
  const auto good = [&] { return GgufBuilder().tensor_f32("good", {64}, values); };
  expect_refused(good().tensor_at("", {4}, 0, 0), "tensor name length");
  expect_refused(good().tensor_at(std::string(513, 'x'), {4}, 0, 0), "513 is not in [1, 512]");
  expect_refused(good().tensor_at("t", {}, 0, 0), "tensor t: 0 dimensions are not in [1, 4]");
  expect_refused(good().tensor_at("t", {1, 1, 1, 1, 1}, 0, 0), "tensor t: 5 dimensions are not in [1, 4]");
  expect_refused(good().tensor_at("t", {4, 0}, 0, 0), "tensor t: a dimension is 0");
  expect_refused(good().tensor_at("t", {uint64_t{1} << 63}, 0, 0), "product of its dimensions overflows");
  expect_refused(good().tensor_at("t", {uint64_t{1} << 32, uint64_t{1} << 32}, 0, 0), "dimensions overflows");
  expect_refused(good().tensor_at("t", {uint64_t{1} << 62}, 0, 0), "its size in bytes overflows");
  expect_refused(good().tensor_at("t", {4, 33}, 2, 0), "rows of 33 elements are not whole q4_0 blocks of 32");
  expect_refused(good().tensor_at("t", {4}, 15, 0), "type 15 (q8_k) is not supported");
  expect_refused(good().tensor_at("t", {4}, 4, 0), "type 4 (unknown) is not supported");
  expect_refused(good().tensor_at("t", {4}, 0, 4), "offset 4 is not a multiple of the alignment 32");
  expect_refused(good().tensor_at("t", {4}, 0, 256), "reach beyond the file's 256 bytes of tensor data");
  expect_refused(good().tensor_at("t", {4}, 0, ~uint64_t{31}), "reach beyond the file's 256 bytes");
  expect_refused(good().tensor_at("t", {65}, 0, 0), "260 bytes at offset 0 reach beyond");
  expect_refused(good().tensor_at("good", {4}, 0, 0), "tensor good appears twice");
  expect_refused(good().tensor_at("t", {4}, 0, 0), "overlaps");
  expect_refused(good().tensor_at("t", {4}, 0, 224), "tensor t at offset 224 overlaps good, which ends at 256");
}

}  // namespace
}  // namespace tern::test
