// Models in several files: what a whole set gives, and what is refused of one that is not whole or not one set.
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "core/error.h"
#include "core/limits.h"
#include "formats/checkpoint.h"
#include "safetensors_file.h"
#include "support/gguf_builder.h"

namespace tern::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIndex = "model.safetensors.index.json";

class Shards : public testing::Test {
 protected:
  Shards() : folder_(fs::temp_directory_path() / ("tern-shards-" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~Shards() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string write(const std::string& name, std::span<const std::byte> bytes) const {
    std::ofstream(path(name), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return path(name);
  }
  std::string write(const std::string& name, std::string_view text) const {
    return write(name, std::as_bytes(std::span(text)));
  }
  void remove(const std::string& name) const { fs::remove(path(name)); }

  // One line that names something of the folder.
  void expect_refused(const std::string& opened, const std::string& part) const {
    std::string message;
    try {
      open_checkpoint(opened);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      message = error.what();
      EXPECT_NE(message.find(folder_.string()), std::string::npos) << message;
      EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    }
    EXPECT_NE(message.find(part), std::string::npos) << "got: " << message << "\nwanted: " << part;
  }

  const fs::path folder_;
};

std::vector<std::byte> one_tensor(const std::string& name) {
  return safetensors_file(
      fmt::format(R"({{"__metadata__":{{"format":"pt"}},"{}":{{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}}})",
                  name),
      16);
}

class SafetensorsShards : public Shards {
 protected:
  SafetensorsShards() {
    write("config.json", R"({"hidden_size": 2})");
    write(kFirst, one_tensor("a"));
    write(kSecond, one_tensor("b"));
    map(fmt::format(R"("a":"{}","b":"{}")", kFirst, kSecond));
  }
  void map(const std::string& entries) const {
    write(kIndex,
          fmt::format(R"({{"metadata":{{"total_size":32,"more":[{{"x":null}}]}},"weight_map":{{{}}}}})", entries));
  }
  static constexpr const char* kFirst = "model-00001-of-00002.safetensors";
  static constexpr const char* kSecond = "model-00002-of-00002.safetensors";
};

TEST_F(SafetensorsShards, AreOneModel) {
  for (const std::string& opened : {folder_.string(), path(kFirst), path(kSecond)}) {
    const auto checkpoint = open_checkpoint(opened);
    EXPECT_EQ(checkpoint->kind, CheckpointKind::kHuggingFace);
    EXPECT_EQ(checkpoint->path, opened);
    EXPECT_EQ(checkpoint->files.size(), 2u);
    EXPECT_EQ(checkpoint->metadata.integer("hidden_size", 0, 9), 2);
    EXPECT_EQ(checkpoint->metadata.string("__metadata__.format"), "pt");
    EXPECT_EQ(checkpoint->tensor("a").data[3], std::byte{3});
    checkpoint->release_pages(checkpoint->tensor("b"));
    EXPECT_EQ(checkpoint->tensor("b").data[15], std::byte{15});
    EXPECT_EQ(checkpoint->tensor_bytes(), 32u);
  }
}

TEST_F(SafetensorsShards, AWholeFileGoesFirst) {
  write("model.safetensors", one_tensor("whole"));
  EXPECT_NE(open_checkpoint(folder_.string())->find("whole"), nullptr);
}

TEST_F(SafetensorsShards, TheOnlyFileMayHaveAnyName) {
  for (const char* name : {kIndex, kFirst, kSecond}) remove(name);
  write("gptq_model-4bit-128g.safetensors", one_tensor("named"));
  EXPECT_NE(open_checkpoint(folder_.string())->find("named"), nullptr);
  write("another.safetensors", one_tensor("a"));
  expect_refused(folder_.string(), "model.safetensors is missing");
}

TEST_F(SafetensorsShards, NamesWhatIsMissing) {
  remove(kSecond);
  expect_refused(folder_.string(), fmt::format("{} is missing", kSecond));
  remove(kIndex);
  expect_refused(folder_.string(), "model.safetensors is missing");  // one of several is not the only one
  expect_refused(path(kFirst) + "x", "cannot be opened");
}

TEST_F(SafetensorsShards, RefusesWhatDisagrees) {
  map(fmt::format(R"("a":"{}","b":"{}","c":"{}")", kFirst, kSecond, kFirst));
  expect_refused(folder_.string(), fmt::format("tensor c should be in {}, which does not hold it", kFirst));
  map(fmt::format(R"("a":"{}","b":"{}")", kSecond, kSecond));
  expect_refused(folder_.string(), fmt::format("tensor a should be in {}", kSecond));
  map(fmt::format(R"("a":"{}","b":"{}")", kFirst, kSecond));
  write(kSecond, safetensors_file(R"({"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                                  R"("a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                                  8));
  expect_refused(folder_.string(), "tensor a appears twice");
  write(kSecond, "{}");
  expect_refused(folder_.string(), kSecond);
}

TEST_F(SafetensorsShards, RefusesNamesThatLeaveTheFolder) {
  write("outside.safetensors", one_tensor("a"));
  for (const char* name : {"../outside.safetensors", "/etc/passwd", "sub/x.safetensors", "..", ".", "", "a\\\\b",
                           "x\\u0000.safetensors", ".hidden"}) {
    map(fmt::format(R"("a":"{}")", name));
    expect_refused(folder_.string(), "is not the name of a file of this folder");
  }
  fs::create_directory(folder_ / "folder");
  map(R"("a":"folder")");
  expect_refused(folder_.string(), "is not a regular file");
}

TEST_F(SafetensorsShards, RefusesOtherIndexes) {
  const auto refused = [&](std::string_view text, const std::string& part) {
    write(kIndex, text);
    expect_refused(folder_.string(), part);
  };
  refused("", "not valid JSON");
  refused("[]", "weight_map is missing");
  refused("3", "is not a JSON object");
  refused("{}", "weight_map is missing");
  refused(R"({"weight_map": {}})", "weight_map names no tensor");
  refused(R"({"weight_map": "x"})", "weight_map is not an object");
  refused(R"({"weight_map": {"a": 3}})", "weight_map: a: an integer is not a file's name");
  refused(R"({"weight_map": {"a": null}})", "weight_map: a: null is not a file's name");
  refused(R"({"weight_map": {"a": {"b": "c"}}})", "weight_map: a: an object or array is not a file's name");
  refused(R"({"weight_map": {"a": "x"}, "weight_map": {"a": "x"}})", "weight_map appears twice");
  refused(R"({"weight_map": {"a": "x")", "not valid JSON");
  std::string many = R"({"weight_map":{)";
  for (uint64_t i = 0; i <= Limits::kShards; ++i) many += fmt::format(R"({}"t{}":"f{}")", i == 0 ? "" : ",", i, i);
  refused(many + "}}", fmt::format("{} files exceed the limit of {}", Limits::kShards + 1, Limits::kShards));
}

// ---- GGUF

GgufBuilder part(uint16_t number, uint16_t count, const std::string& tensor) {
  GgufBuilder builder;
  builder.number("split.no", number).number("split.count", count).number("split.tensors.count", int32_t{3});
  builder.tensor_f32(tensor, {2}, std::vector<float>{1.0f * number, 2});
  return builder;
}

class GgufParts : public Shards {
 protected:
  GgufParts() {
    write(name(1), part(0, 3, "a").string("general.name", "three parts").build());
    write(name(2), part(1, 3, "b").build());
    write(name(3), part(2, 3, "c").build());
  }
  static std::string name(int number) { return fmt::format("m-{:05}-of-00003.gguf", number); }
};

TEST_F(GgufParts, AreOneModelWhicheverIsGiven) {
  for (const int given : {1, 2, 3}) {
    const auto checkpoint = open_checkpoint(path(name(given)));
    EXPECT_EQ(checkpoint->path, path(name(given)));
    EXPECT_EQ(checkpoint->metadata.string("general.name"), "three parts");
    EXPECT_EQ(checkpoint->files.size(), 3u);
    ASSERT_EQ(checkpoint->tensors.size(), 3u);
    float value;
    std::memcpy(&value, checkpoint->tensor("c").data.data(), sizeof value);
    EXPECT_EQ(value, 2.0f);
  }
}

TEST_F(GgufParts, NamesWhatIsMissing) {
  remove(name(2));
  expect_refused(path(name(1)), "part 2 of 3 is missing");
  expect_refused(path(name(3)), "part 2 of 3 is missing");
  remove(name(1));
  expect_refused(path(name(3)), "part 1 of 3 is missing");
}

TEST_F(GgufParts, RefusesWhatDisagrees) {
  write(name(2), part(2, 3, "b").build());
  expect_refused(path(name(1)), "says that it is part 3 of 3, not 2 of 3");
  write(name(2), part(1, 4, "b").build());
  expect_refused(path(name(1)), "says that it is part 2 of 4, not 2 of 3");
  write(name(2), GgufBuilder().tensor_f32("b", {1}, std::vector<float>{1}).build());
  expect_refused(path(name(1)), "says that it is part 1 of 1, not 2 of 3");
  write(name(2), part(1, 3, "a").build());
  expect_refused(path(name(1)), "tensor a appears twice");
  write(name(2), part(1, 3, "b").tensor_f32("d", {1}, std::vector<float>{1}).build());
  expect_refused(path(name(1)), "split.tensors.count");
  write(name(2), "GGUF");
  expect_refused(path(name(1)), name(2));
}

TEST_F(GgufParts, RefusesOtherNumbersAndNames) {
  expect_refused(write("other.gguf", part(0, 3, "a").build()), "is not called NAME-00001-of-00003.gguf");
  expect_refused(write("m-00001-of-00004.gguf", part(0, 3, "a").build()), "is not called NAME-00001-of-00003.gguf");
  expect_refused(write(name(1), part(3, 3, "a").build()), "split.no");
  expect_refused(write(name(1), part(0, 65'535, "a").build()), "exceeds the limit");
  expect_refused(write(name(1), GgufBuilder().number("split.count", uint16_t{2}).build()), "split.no");
  expect_refused(write(name(1), GgufBuilder().string("split.count", "2").build()), "split.count");
  // One part, or a count of none, is a model of its own.
  EXPECT_EQ(open_checkpoint(write("single.gguf", part(0, 1, "a").build()))->tensors.size(), 1u);
  EXPECT_EQ(open_checkpoint(write("none.gguf", part(0, 0, "a").build()))->tensors.size(), 1u);
}

// Whatever bytes of an index are damaged, it is refused or read; nothing else happens.
TEST_F(SafetensorsShards, DamageToTheIndexIsRefusedOrRead) {
  std::string text;
  {
    std::ifstream file(path(kIndex), std::ios::binary);
    text.assign(std::istreambuf_iterator<char>(file), {});
  }
  std::mt19937 random(1);
  int refused = 0;
  for (int i = 0; i < 500; ++i) {
    std::string damaged = text;
    for (int n = 0; n < 1 + i % 3; ++n) damaged[random() % damaged.size()] = static_cast<char>(random());
    write(kIndex, damaged);
    try {
      open_checkpoint(folder_.string());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace tern::test
