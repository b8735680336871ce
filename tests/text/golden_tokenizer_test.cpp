// Token ids against the oracle: tests/golden/tokenizer/NAME.jsonl with the vocabulary NAME.gguf beside it, and the real
// SmolLM2 when it is cached.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "formats/checkpoint.h"
#include "support/paths.h"
#include "support/real_model.h"
#include "text/byte_level.h"
#include "text/tokenizer.h"

namespace tern {
namespace {

namespace fs = std::filesystem;

// NAME.jsonl files of a folder that have their vocabulary, NAME.gguf, beside them.
std::vector<fs::path> fixtures(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    fs::path vocabulary = entry.path();
    vocabulary.replace_extension(".gguf");
    if (entry.path().extension() == ".jsonl" && fs::exists(vocabulary)) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

void expect_ids(const Tokenizer& tokenizer, const fs::path& lines) {
  std::ifstream file(lines);
  size_t checked = 0;
  bool has_every_byte = true;
  for (int byte = 0; byte < 256; ++byte) {
    has_every_byte = has_every_byte && tokenizer.find(byte_level_character(static_cast<uint8_t>(byte))).has_value();
  }
  const bool has_every_byte_token = tokenizer.find("<0x00>").has_value();
  for (std::string line; std::getline(file, line);) {
    if (line.empty()) continue;
    const auto row = nlohmann::json::parse(line);
    const std::string text = row.at("text");
    const auto ids = tokenizer.encode(text, {.add_special = false});
    const auto plain = tokenizer.encode(text, {.add_special = false, .parse_special = false});
    EXPECT_EQ(ids, row.at("ids").get<std::vector<int32_t>>()) << lines.filename() << ": " << line.substr(0, 300);
    EXPECT_EQ(plain, row.at("plain_ids").get<std::vector<int32_t>>())
        << lines.filename() << ": " << line.substr(0, 300);
    if (has_every_byte) {
      EXPECT_EQ(tokenizer.decode(ids, true), text);
      EXPECT_EQ(tokenizer.decode(plain, true), text);
    } else if (has_every_byte_token && text.find("\xE2\x96\x81") == text.npos) {  // U+2581 comes back as a space
      EXPECT_EQ(tokenizer.decode(plain, true), text);
    }
    ++checked;
  }
  EXPECT_GT(checked, 0u);
  ::testing::Test::RecordProperty("strings", static_cast<int>(checked));
}

std::shared_ptr<const Checkpoint> vocabulary_of(fs::path lines) {
  return open_checkpoint(lines.replace_extension(".gguf").string());
}

TEST(GoldenTokenizer, SmallVocabularies) {
  const auto found = fixtures(fs::path(test::golden_dir()) / "tokenizer");
  EXPECT_EQ(found.size(), 7u);
  for (const fs::path& lines : found) expect_ids(*Tokenizer::from_metadata(vocabulary_of(lines)->metadata), lines);
}

// Vocabularies of real models, which are not ours to commit: `make slow` fetches them and makes the ids.
TEST(GoldenTokenizer, RealVocabularies) {
  const char* folder = std::getenv("TERN_REAL_TEXT");
  if (folder == nullptr) GTEST_SKIP() << "TERN_REAL_TEXT is not set: run `make slow`";
  size_t checked = 0;
  for (const fs::path& lines : fixtures(fs::path(folder) / "tokenizer")) {
    const auto checkpoint = vocabulary_of(lines);
    expect_ids(*Tokenizer::from_metadata(checkpoint->metadata), lines);
    ++checked;
  }
  EXPECT_GE(checked, 12u);
}

TEST(GoldenTokenizer, SmolLM2) {
  TERN_NEED_SMOLLM2(model);
  expect_ids(*Tokenizer::from_metadata(open_checkpoint(model)->metadata),
             fs::path(test::golden_dir()) / "tokenizer" / "smollm2.jsonl");
}

}  // namespace
}  // namespace tern
