// safetensors files: right ones, what is refused of others, and damage to the header.
#include "formats/safetensors.h"

#include <gtest/gtest.h>

#include <fmt/core.h>

#include "core/limits.h"
#include "outcome.h"
#include "safetensors_file.h"

namespace tern::test {
namespace {

constexpr const char* kPath = "folder/model.safetensors";

using Bytes = std::vector<std::byte>;

Outcome outcome(const Bytes& file) {
  return try_read([&] { return read_safetensors(file, kPath); }, kPath, file.size());
}

void expect_refused(const std::string& header, size_t data_bytes, const std::string& part) {
  const Outcome result = outcome(safetensors_file(header, data_bytes));
  EXPECT_NE(result.message.find(part), std::string::npos) << "got: " << result.message << "\nwanted: " << part;
}

constexpr const char* kSample =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[24,36]},)"
    R"("a.weight":{"dtype":"F32","shape":[6],"data_offsets":[0,24]},"h":{"dtype":"F16","shape":[],"data_offsets":[36,38]}})";
constexpr size_t kSampleBytes = 38;

TEST(Safetensors, ReadsWhatItSays) {
  const Bytes file = safetensors_file(kSample, kSampleBytes);
  const Checkpoint checkpoint = read_safetensors(file, kPath);
  ASSERT_EQ(checkpoint.tensors.size(), 3u);
  EXPECT_EQ(checkpoint.tensors[0].name, "a.weight") << "in the order of the data";
  EXPECT_EQ(checkpoint.tensor("b").shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(checkpoint.tensor("b").format, Format::kBF16);
  EXPECT_EQ(checkpoint.tensor("b").data.size(), 12u);
  EXPECT_EQ(checkpoint.tensor("b").data[0], std::byte{24});
  EXPECT_EQ(checkpoint.tensor("h").elements(), 1);
  EXPECT_EQ(checkpoint.tensor("h").cols(), 1);
  EXPECT_EQ(checkpoint.metadata.string("__metadata__.format"), "pt");
  EXPECT_EQ(checkpoint.tensor_bytes(), kSampleBytes);
  EXPECT_TRUE(outcome(safetensors_file("{}", 0)).loaded);
}

TEST(Safetensors, NamesAreUnescaped) {
  const Bytes file = safetensors_file(R"({"\u00e4\"\n":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4);
  EXPECT_NE(read_safetensors(file, kPath).find("\xc3\xa4\"\n"), nullptr);
}

std::string one(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return fmt::format(R"({{"t":{{"dtype":"{}","shape":{},"data_offsets":{}}}}})", dtype, shape, offsets);
}

// What no weight is by itself is kept beside the tensors, under the same rules.
TEST(Safetensors, KeepsOtherTypes) {
  const Bytes file = safetensors_file(R"({"q":{"dtype":"I32","shape":[2,1],"data_offsets":[8,16]},)"
                                      R"("f":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}})",
                                      16);
  const Checkpoint checkpoint = read_safetensors(file, kPath);
  EXPECT_TRUE(checkpoint.tensors.empty());
  ASSERT_NE(checkpoint.find_stored("q"), nullptr);
  EXPECT_EQ(checkpoint.find_stored("q")->dtype, "I32");
  EXPECT_EQ(checkpoint.find_stored("q")->shape, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(checkpoint.find_stored("q")->data[0], std::byte{8});
  EXPECT_EQ(checkpoint.find("q"), nullptr);
  EXPECT_TRUE(checkpoint.holds("f"));
  EXPECT_FALSE(checkpoint.holds("g"));
  EXPECT_THROW(checkpoint.tensor("f"), Error);
  expect_refused(one("I32", "[2]", "[0,4]"), 4, "data_offsets hold 4 bytes, dtype and shape take 8");
  expect_refused(one("I64", "[4611686018427387904]", "[0,8]"), 8, "its size in bytes overflows");
  expect_refused(one("U8", "[0]", "[0,0]"), 0, "a dimension is 0");
}

TEST(Safetensors, RefusesWhatDisagrees) {
  for (const char* dtype : {"C64", "F4", "F8_E4M3FN", "", "f32", "i64", "Q4_0"}) {
    expect_refused(one(dtype, "[1]", "[0,8]"), 8, fmt::format("tensor t: dtype {} is not supported", dtype));
  }
  expect_refused(one("F32", "[2]", "[0,4]"), 4, "data_offsets hold 4 bytes, dtype and shape take 8");
  expect_refused(one("F32", "[2]", "[0,12]"), 12, "data_offsets hold 12 bytes, dtype and shape take 8");
  expect_refused(one("F32", "[2]", "[8,0]"), 8, "data_offsets [8, 0] are not a range");
  expect_refused(one("F32", "[2]", "[0,8]"), 7, "within the file's 7 bytes");
  expect_refused(one("F32", "[2]", "[0,8]"), 12, "tensors end at byte 8 of 12");
  expect_refused(one("F32", "[2]", "[4,12]"), 12, "tensor t: 4 unused bytes before its data");
  expect_refused(one("F32", "[0]", "[0,0]"), 0, "a dimension is 0");
  expect_refused(one("F32", "[4294967296,4294967296]", "[0,0]"), 0, "product of its dimensions overflows");
  expect_refused(one("F32", "[4611686018427387904]", "[0,0]"), 0, "size in bytes overflows");
  expect_refused(one("F32", "[1,1,1,1,1]", "[0,4]"), 4, "dimensions exceed the limit of 4");
  expect_refused(one("F32", "[-1]", "[0,4]"), 4, "t: -1 is negative");
  expect_refused(one("F32", "[1.0]", "[0,4]"), 4, "not a 63-bit integer");
  expect_refused(one("F32", "[18446744073709551615]", "[0,4]"), 4, "not a 63-bit integer");
  expect_refused(one("F32", "[[1]]", "[0,4]"), 4, "an array is out of place");
  expect_refused(one("F32", "1", "[0,4]"), 4, "an integer is out of place");
  expect_refused(one("F32", "[1]", "[0]"), 4, "fewer than two");
  expect_refused(one("F32", "[1]", "[0,4,4]"), 4, "more than two");
  expect_refused(R"({"t":{"dtype":"F32","shape":[1]}})", 4, "dtype, shape or data_offsets is missing");
  expect_refused(R"({"t":{"dtype":"F32","dtype":"F16"}})", 4, "dtype appears twice");
  expect_refused(R"({"t":{"what":1}})", 4, "unknown field what");
  expect_refused(R"({"t":3})", 4, "an integer is out of place");
  expect_refused(R"({"t":null})", 4, "null is out of place");
  expect_refused(R"({"__metadata__":{"a":1}})", 0, "an integer is out of place");
  expect_refused(R"({"__metadata__":{"a":"1","a":"2"}})", 0, "__metadata__.a: appears twice");
  expect_refused(R"({"__metadata__":{},"__metadata__":{}})", 0, "appears twice");
  expect_refused(R"({"":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4, "length of 0 bytes");
}

TEST(Safetensors, RefusesOverlapsAndRepeats) {
  const char* two = R"({{"a":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}},)"
                    R"("{}":{{"dtype":"F32","shape":[2],"data_offsets":[{},{}]}}}})";
  expect_refused(fmt::format(fmt::runtime(two), "b", 4, 12), 12, "tensor b at offset 4 overlaps a, which ends at 8");
  expect_refused(fmt::format(fmt::runtime(two), "b", 0, 8), 8, "overlaps");
  expect_refused(fmt::format(fmt::runtime(two), "a", 8, 16), 16, "tensor a appears twice");
  EXPECT_TRUE(outcome(safetensors_file(fmt::format(fmt::runtime(two), "b", 8, 16), 16)).loaded);
}

TEST(Safetensors, RefusesBadHeaders) {
  expect_refused("", 16, "does not begin with '{'");
  expect_refused(" {}", 0, "does not begin with '{'");
  expect_refused("{", 0, "not valid JSON at byte");
  expect_refused("{} {}", 0, "not valid JSON at byte");
  expect_refused(R"({"a":{"shape":)" + std::string(1000, '['), 0, "is out of place");
  Bytes file = safetensors_file("{}", 0);
  for (const uint64_t length : {uint64_t{100'000'001}, uint64_t{1} << 31, uint64_t{1} << 63, ~uint64_t{0}}) {
    std::memcpy(file.data(), &length, 8);
    EXPECT_NE(outcome(file).message.find("exceeds the limit of 100000000"), std::string::npos);
  }
  const uint64_t length = 1000;
  std::memcpy(file.data(), &length, 8);
  EXPECT_NE(outcome(file).message.find("needs 1000 bytes, 8 left"), std::string::npos);
}

// The header's length shifts the data: elements must stay aligned in the file.
TEST(Safetensors, RefusesUnalignedData) {
  const std::string header = one("F32", "[1]", "[0,4]");
  Bytes file(8 + header.size() + 4);
  const uint64_t length = header.size();
  ASSERT_NE(length % 4, 0u);
  std::memcpy(file.data(), &length, 8);
  std::memcpy(file.data() + 8, header.data(), header.size());
  EXPECT_NE(outcome(file).message.find("is not aligned to its 4-byte elements"), std::string::npos);
}

TEST(SafetensorsHostile, EveryTruncation) {
  const Bytes file = safetensors_file(kSample, kSampleBytes);
  for (size_t size = 0; size < file.size(); ++size) {
    const Bytes cut(file.begin(), file.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_FALSE(outcome(cut).loaded) << size;
  }
}

TEST(SafetensorsHostile, EveryHeaderByteFlipped) {
  Bytes file = safetensors_file(kSample, kSampleBytes);
  for (size_t at = 0; at < file.size() - kSampleBytes; ++at) {
    const std::byte original = file[at];
    for (int bit = 0; bit < 8; ++bit) {
      file[at] = original ^ static_cast<std::byte>(1 << bit);
      outcome(file);
    }
    for (const std::byte value : {std::byte{0x00}, std::byte{0xff}}) {
      file[at] = value;
      outcome(file);
    }
    file[at] = original;
  }
}

// As many tensors as the limit allows, and one more.
TEST(SafetensorsHostile, ManyTensors) {
  for (const uint64_t count : {Limits::kTensors, Limits::kTensors + 1}) {
    std::string header = "{";
    for (uint64_t i = 0; i < count; ++i) {
      header += fmt::format(R"({}"t{}":{{"dtype":"F16","shape":[1],"data_offsets":[{},{}]}})", i ? "," : "", i, 2 * i,
                            2 * i + 2);
    }
    const Outcome result = outcome(safetensors_file(header + "}", 2 * count));
    EXPECT_EQ(result.loaded, count == Limits::kTensors) << result.message;
  }
}

}  // namespace
}  // namespace tern::test
