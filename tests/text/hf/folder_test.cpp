// A Hugging Face folder's text side: which file says what, and what a folder without it is told.
#include "text/hf/folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <span>

#include "core/error.h"
#include "formats/checkpoint.h"
#include "formats/hf_config.h"
#include "support/paths.h"

namespace tern {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTokenizer = R"({
  "added_tokens": [{"id": 3, "content": "<s>", "special": true}, {"id": 4, "content": "</s>", "special": true},
                   {"id": 5, "content": "<end>", "special": true}],
  "post_processor": {"type": "BertProcessing", "cls": ["<s>", 3], "sep": ["</s>", 4]},
  "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})";

class HfFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) / "tern_hf_folder";
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    write("tokenizer.json", kTokenizer);
  }
  void TearDown() override { fs::remove_all(folder_); }
  void write(const char* name, std::string_view text) { std::ofstream(folder_ / name) << text; }

  hf::FolderText read(const std::string& config = "{}") {
    Checkpoint checkpoint;
    read_config(std::as_bytes(std::span(config.data(), config.size())), "config.json", "", checkpoint);
    return hf::read_folder_text(folder_.string(), checkpoint.metadata);
  }
  std::string refusal() {
    try {
      read();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      return error.what();
    }
    return "no error";
  }

  fs::path folder_;
};

using Ids = std::vector<int32_t>;

TEST_F(HfFolder, TokenizerAlone) {
  const auto text = read();
  EXPECT_EQ(text.tokenizer->encode("ab"), (Ids{3, 2, 4}));
  EXPECT_EQ(text.tokenizer->encode("ab", {.add_special = false}), Ids{2});
  EXPECT_EQ(text.tokenizer->bos(), std::nullopt);
  EXPECT_EQ(text.chat_template, "");
}

TEST_F(HfFolder, ConfigSaysWhatIsAdded) {
  write("tokenizer_config.json",
        R"({"bos_token": {"content": "<s>"}, "eos_token": "</s>", "add_bos_token": true, "add_eos_token": null})");
  const auto text = read();
  EXPECT_EQ(text.tokenizer->encode("ab"), (Ids{3, 2}));
  EXPECT_TRUE(text.tokenizer->adds_bos());
  EXPECT_FALSE(text.tokenizer->adds_eos());
  EXPECT_EQ(text.tokenizer->bos(), 3);
  EXPECT_EQ(text.tokenizer->eos(), 4);
}

TEST_F(HfFolder, EndTokensOfEveryFile) {
  EXPECT_FALSE(read().tokenizer->is_end(5));
  EXPECT_TRUE(read(R"({"eos_token_id": 5})").tokenizer->is_end(5));
  const auto list = read(R"({"generation_config": {"eos_token_id": [1, 5, 99, -1]}})").tokenizer;
  EXPECT_EQ(Ids(list->end_tokens().begin(), list->end_tokens().end()), (Ids{1, 4, 5}));  // </s> is known to end
}

TEST_F(HfFolder, TemplatesInTheirOrder) {
  write("chat_template.json", R"({"chat_template": "third"})");
  EXPECT_EQ(read().chat_template, "third");
  write("tokenizer_config.json", R"({"chat_template": [{"name": "tool_use", "template": "no"},
                                                       {"name": "default", "template": "second"}]})");
  EXPECT_EQ(read().chat_template, "second");
  write("chat_template.jinja", "first");
  EXPECT_EQ(read().chat_template, "first");
}

TEST_F(HfFolder, Refusals) {
  write("tokenizer_config.json", R"({"chat_template": [{"name": "tool_use", "template": "no"}]})");
  EXPECT_NE(refusal().find("chat_template has no template named \"default\" (it has: tool_use)"), std::string::npos)
      << refusal();
  write("tokenizer_config.json", R"({"bos_token": 7})");
  EXPECT_NE(refusal().find("tokenizer_config.json: bos_token is not a string"), std::string::npos) << refusal();
  fs::remove(folder_ / "tokenizer.json");
  EXPECT_NE(refusal().find("tokenizer.json is missing"), std::string::npos) << refusal();
}

// Control tokens count in what a template writes and not in what it is given, also those looked for in normalized text.
TEST_F(HfFolder, MarkedTextKeepsControlTokensOut) {
  write("tokenizer.json", R"({"normalizer": {"type": "Lowercase"},
    "added_tokens": [{"id": 3, "content": "<S>", "special": true, "normalized": true},
                     {"id": 4, "content": "<t>", "special": true, "normalized": false}],
    "model": {"type": "BPE", "vocab": {"a": 0, "s": 1, "<": 2, ">": 5, "t": 6}, "merges": []}})");
  const auto tokenizer = read().tokenizer;
  EXPECT_EQ(tokenizer->encode("<s>a<t>"), (Ids{3, 0, 4}));
  MarkedText text("<S><t>", true);
  text.append("<S><t>", false);
  EXPECT_EQ(tokenizer->encode_marked(text, false), (Ids{3, 4, 2, 1, 5, 2, 6, 5}));
}

}  // namespace
}  // namespace tern
