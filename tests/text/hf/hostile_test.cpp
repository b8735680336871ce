// tokenizer.json files that are wrong: each is refused with one line that names what is.
#include <gtest/gtest.h>

#include <string>

#include "core/error.h"
#include "core/limits.h"
#include "text/hf/build.h"

namespace tern {
namespace {

std::shared_ptr<const Tokenizer> built(const std::string& json) {
  const auto bytes = std::as_bytes(std::span(json.data(), json.size()));
  return std::make_shared<const Tokenizer>(hf::tokenizer_parts(read_tokenizer_file(bytes, "tokenizer.json"), {}));
}

std::string refusal(const std::string& json) {
  try {
    built(json);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  return "no error";
}

// The smallest model, and further members of the document.
std::string with(const std::string& members,
                 const std::string& model = R"("vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"])") {
  return R"({"model": {"type": "BPE", )" + model + "}" + (members.empty() ? "" : ", " + members) + "}";
}

void expect_refused(const std::string& json, std::string_view part) {
  const std::string message = refusal(json);
  EXPECT_NE(message.find(part), std::string::npos) << json.substr(0, 200) << "\n" << message;
  EXPECT_NE(message.find("tokenizer.json"), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

TEST(HostileTokenizerJson, TheSmallestIsFine) {
  const auto tokenizer = built(with(""));
  EXPECT_EQ(tokenizer->encode("abab"), (std::vector<int32_t>{2, 2}));
  EXPECT_EQ(tokenizer->encode("\xff"
                              "ab"),
            (std::vector<int32_t>{2}));
}

TEST(HostileTokenizerJson, Documents) {
  expect_refused("", "empty");
  expect_refused("{", "byte");
  expect_refused("[]", "an object");
  expect_refused("3", "an object");
  expect_refused("{}", "no model");
  expect_refused(std::string(Limits::kJsonDepth + 1, '['), "deeper");
  expect_refused(R"({"model": 3})", "model is not an object");
  expect_refused(with(R"("normalizer": {"type": "Magic"})"), "normalizer.type \"Magic\"");
  expect_refused(with(R"("normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {}]})"),
                 "normalizers[1] has no type");
  expect_refused(with(R"("pre_tokenizer": {"type": "UnicodeScripts"})"), "UnicodeScripts");
  expect_refused(with(R"("decoder": {"type": "CTC"})"), "CTC");
  expect_refused(with(R"("pre_tokenizer": {"type": "FixedLength", "length": 0})"), "length");
  expect_refused(with(R"("decoder": {"type": "Replace", "pattern": {"String": ""}, "content": ""})"), "is empty");
  expect_refused(with(R"("decoder": {"type": "Sequence", "decoders": [{"type": "ByteLevel"}, )"
                      R"({"type": "Replace", "pattern": {"Regex": "a+"}, "content": ""}]})"),
                 "behind a ByteLevel");
  expect_refused(with(R"("post_processor": {"type": "Odd"})"), "Odd");
  expect_refused(with(R"("post_processor": {"type": "TemplateProcessing", "single": []})"), "no place");
  expect_refused(with(R"("post_processor": {"type": "BertProcessing", "cls": ["a", 9], "sep": ["a", 0]})"), "9");
}

TEST(HostileTokenizerJson, Models) {
  expect_refused(with("", R"("vocab": {})"), "0 tokens");
  expect_refused(with("", R"("vocab": {"a": "b"})"), "not an integer");
  expect_refused(with("", R"("vocab": {"a": -1})"), "out of range");
  expect_refused(with("", R"("vocab": {"a": 4000000})"), "far beyond");
  expect_refused(with("", R"("vocab": {"a": 0, "b": 0})"), "as has");
  expect_refused(with("", R"("vocab": {"a": 0, "a": 1})"), "too");
  expect_refused(with("", R"("vocab": {"a": 0}, "vocab": {"a": 0})"), "twice");
  expect_refused(with("", R"("vocab": {"a": 0}, "merges": ["ab"])"), "merges[0]");
  expect_refused(with("", R"("vocab": {"a": 0}, "merges": ["a b c"])"), "merges[0]");
  expect_refused(with("", R"("vocab": {"a": 0}, "merges": [["a"]])"), "merges[0]");
  expect_refused(with("", R"("vocab": {"a": 0}, "merges": [["a", "a", "a"]])"), "merges[0]");
  expect_refused(with("", R"("vocab": {"a": 0}, "merges": [["a", ["a"]]])"), "merges[0]");
  expect_refused(with("", R"("vocab": {"a": 0}, "merges": [7])"), "merges[0]");
  expect_refused(with("", R"("vocab": {"a": 0}, "merges": ["a a"])"), "lacks");
  expect_refused(with("", R"("vocab": {"a": 0}, "dropout": 0.1)"), "dropout");
  expect_refused(with("", R"("vocab": {"a": 0}, "unk_token": "b")"), "unk_token");
  expect_refused(R"({"model": {"type": "Odd", "vocab": {"a": 0}}})", "Odd");
  expect_refused(R"({"model": {"type": "Unigram", "vocab": [["a"]]}})", "vocab[0]");
  expect_refused(R"({"model": {"type": "Unigram", "vocab": [["a", 1, 2]]}})", "vocab[0]");
  expect_refused(with(R"("added_tokens": [{"id": 0, "content": "b"}])"), "id 0");
  expect_refused(with(R"("added_tokens": [{"id": 3}])"), "added_tokens[0] has no content");
}

TEST(HostileTokenizerJson, Patterns) {
  const auto pattern = [](const std::string& regex) {
    return with(R"("pre_tokenizer": {"type": "Split", "behavior": "Isolated", "pattern": {"Regex": ")" + regex +
                "\"}}");
  };
  expect_refused(pattern("("), "parenthesis");
  expect_refused(pattern("[a"), "without end");
  expect_refused(pattern("[a&&b]"), "intersection");
  expect_refused(pattern("[a[^b]]"), "negated class");
  expect_refused(pattern("(*ACCEPT)a"), "(*");
  expect_refused(pattern(R"(\\G)"), "\\G");
  expect_refused(pattern(R"((?R))"), "(?R");
  expect_refused(pattern(std::string(Limits::kPatternBytes + 1, 'a')), "exceeds");
  const auto slow = built(pattern("(?:a+)+$"));
  try {
    slow->encode(std::string(40, 'a') + "b");
    FAIL() << "a pattern that takes for ever took no time";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
  }
}

}  // namespace
}  // namespace tern
