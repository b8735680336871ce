// Token ids against the oracle: tests/golden/tokenizer/NAME.jsonl with the vocabulary NAME.gguf beside it, and the real
// SmolLM2 when it is cached.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "formats/checkpoint.h"
#include "text/byte_level.h"
#include "text/tokenizer.h"

namespace tern {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> fixtures() {
  std::vector<fs::path> found;
  const fs::path folder = fs::path(TERN_GOLDEN_DIR) / "tokenizer";
  if (!fs::exists(folder)) return found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".jsonl") found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

// The first GGUF file whose name begins with SmolLM2 below the folders where a copy may be.
fs::path find_smollm2() {
  if (const char* path = std::getenv("TERN_SMOLLM2")) return path;
  const char* home = std::getenv("HOME");
  const char* cache = std::getenv("TERN_CACHE");
  const fs::path folder = cache ? fs::path(cache) : fs::path(home ? home : "/nonexistent") / ".cache" / "tern";
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator(folder, ignored)) {
    if (entry.path().extension() == ".gguf" && entry.path().filename().string().starts_with("SmolLM2"))
      return entry.path();
  }
  return {};
}

void expect_ids(const Tokenizer& tokenizer, const fs::path& lines) {
  std::ifstream file(lines);
  size_t checked = 0;
  bool has_every_byte = true;
  for (int byte = 0; byte < 256; ++byte) {
    has_every_byte = has_every_byte && tokenizer.find(byte_level_character(static_cast<uint8_t>(byte))).has_value();
  }
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
    }
    ++checked;
  }
  EXPECT_GT(checked, 0u);
  ::testing::Test::RecordProperty("strings", static_cast<int>(checked));
}

TEST(GoldenTokenizer, SmallVocabularies) {
  size_t found = 0;
  for (const auto& lines : fixtures()) {
    fs::path vocabulary = lines;
    vocabulary.replace_extension(".gguf");
    if (!fs::exists(vocabulary)) continue;
    ++found;
    expect_ids(*Tokenizer::from_metadata(open_checkpoint(vocabulary.string())->metadata), lines);
  }
  if (found == 0) GTEST_SKIP() << "no vocabulary under tests/golden/tokenizer";
}

TEST(GoldenTokenizer, SmolLM2) {
  const fs::path lines = fs::path(TERN_GOLDEN_DIR) / "tokenizer" / "smollm2.jsonl";
  const fs::path model = find_smollm2();
  if (!fs::exists(lines)) GTEST_SKIP() << "no tests/golden/tokenizer/smollm2.jsonl";
  if (!fs::exists(model)) GTEST_SKIP() << "SmolLM2 is not cached; set TERN_SMOLLM2 to its GGUF file";
  expect_ids(*Tokenizer::from_metadata(open_checkpoint(model.string())->metadata), lines);
}

}  // namespace
}  // namespace tern
