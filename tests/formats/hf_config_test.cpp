// config.json as metadata.
#include "formats/hf_config.h"

#include <gtest/gtest.h>

#include "core/limits.h"
#include "outcome.h"

namespace tern::test {
namespace {

constexpr const char* kPath = "folder/config.json";

Checkpoint read(std::string_view text, std::string_view prefix = "") {
  Checkpoint checkpoint;
  checkpoint.metadata = Metadata(std::string("[hf] ") + kPath);
  read_config(std::as_bytes(std::span(text)), kPath, prefix, checkpoint);
  return checkpoint;
}

void expect_refused(const std::string& text, const std::string& part) {
  const std::string message = try_read([&] { return read(text); }, kPath, text.size()).message;
  EXPECT_NE(message.find(part), std::string::npos) << "got: " << message << "\nwanted: " << part;
}

TEST(HfConfig, FlattensWithDots) {
  const Checkpoint checkpoint = read(R"({"hidden_size": 64, "eps": 1e-05, "tie": true, "act": "silu",
      "rope_scaling": {"factor": 4, "inner": {"rope_type": "llama3"}}, "after": -1, "nothing": null, "empty": {}})");
  const Metadata& m = checkpoint.metadata;
  EXPECT_EQ(m.integer("hidden_size", 1, 100), 64);
  EXPECT_EQ(m.number("eps"), 1e-5);
  EXPECT_TRUE(m.boolean("tie"));
  EXPECT_EQ(m.string("act"), "silu");
  EXPECT_EQ(m.number("rope_scaling.factor"), 4.0);
  EXPECT_EQ(m.string("rope_scaling.inner.rope_type"), "llama3");
  EXPECT_EQ(m.integer("after", -5, 5), -1);
  EXPECT_FALSE(m.has("nothing"));
  EXPECT_FALSE(m.has("empty"));
  EXPECT_EQ(m.integer_or("nothing", 7, 0, 10), 7);
  EXPECT_EQ(m.keys().size(), 7u);
}

TEST(HfConfig, Arrays) {
  const Checkpoint checkpoint = read(R"({"ids": [1, 2], "factors": [1, 2.5, 3], "names": ["a", "b\n"], "none": [],
      "flags": [true], "nested": [[1], [2, 3]], "mixed": [1, "a", null], "objects": [{"x": 1}, {"x": [5], "y": {"z": 2}}]})");
  const Metadata& m = checkpoint.metadata;
  EXPECT_EQ(m.array("ids").integers, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(m.numbers("factors"), (std::vector<double>{1, 2.5, 3}));
  EXPECT_EQ(m.strings("names")[1], "b\n");
  EXPECT_EQ(m.array("none").size, 0u);
  EXPECT_EQ(m.array("flags").booleans, std::vector<bool>{true});
  EXPECT_EQ(m.array("nested").arrays[1].integers, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(m.array("mixed").size, 3u);
  EXPECT_THROW(m.strings("mixed"), Error);
  EXPECT_THROW(m.integers("mixed"), Error);
  EXPECT_EQ(m.array("objects").size, 2u);
  EXPECT_EQ(m.integer("objects.0.x", 0, 9), 1);
  EXPECT_EQ(m.integers("objects.1.x")[0], 5);
  EXPECT_EQ(m.integer("objects.1.y.z", 0, 9), 2);
}

TEST(HfConfig, Prefix) {
  const Checkpoint checkpoint = read(R"({"eos_token_id": [1, 2], "a": {"b": 1}})", "generation_config.");
  EXPECT_EQ(checkpoint.metadata.integers("generation_config.eos_token_id").size(), 2u);
  EXPECT_TRUE(checkpoint.metadata.has("generation_config.a.b"));
}

TEST(HfConfig, RefusesWhatIsNoConfig) {
  expect_refused("", "not valid JSON");
  expect_refused("{", "not valid JSON at byte");
  expect_refused("[1]", "is not a JSON object");
  expect_refused("1", "is not a JSON object");
  expect_refused("\"text\"", "is not a JSON object");
  expect_refused(R"({"a": 1, "a": 2})", "a: appears twice");
  expect_refused(R"({"a": {"b": 1}, "a.b": 2})", "a.b: appears twice");
  expect_refused(R"({"a": NaN})", "not valid JSON");
  expect_refused(R"({"a": 1e999})", "not valid JSON");
  expect_refused("{\"a\": \"\xff\"}", "not valid JSON");
  expect_refused(R"({"a": [[[[[1]]]]]})", "array depth exceeds the limit of 4");
  expect_refused("{\"a\": \"" + std::string(Limits::kConfigBytes, 'x') + "\"}", "exceed the limit of 16777216");
  expect_refused("{\"" + std::string(1025, 'k') + "\": 1}", "the joined key exceeds the limit of 1024 bytes");
}

TEST(HfConfig, DepthIsBounded) {
  const auto nested = [](uint64_t depth) {
    std::string text;
    for (uint64_t i = 0; i < depth; ++i) text += "{\"a\":";
    return text + "1" + std::string(depth, '}');
  };
  EXPECT_NO_THROW(read(nested(Limits::kJsonDepth)));
  expect_refused(nested(Limits::kJsonDepth + 1), "nested deeper than the limit of 64");
  expect_refused(std::string(1'000'000, '{'), "not valid JSON");
  expect_refused("{\"a\":" + std::string(1'000'000, '['), "array depth exceeds the limit");
}

TEST(HfConfig, ManyEmptyArraysStayBounded) {
  std::string text = "{\"a\":[[]";
  for (int i = 0; i < 200'000; ++i) text += ",[]";
  expect_refused(text + "]}", "more arrays than the limit of 65536");
}

}  // namespace
}  // namespace tern::test
