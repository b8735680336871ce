// Token ids against the oracle: tests/golden/tokenizer/NAME.jsonl with the vocabulary NAME.gguf beside it, and the real
// SmolLM2 when it is cached.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "formats/checkpoint.h"
#include "support/real_model.h"
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
  TERN_NEED_SMOLLM2(model);
  expect_ids(*Tokenizer::from_metadata(open_checkpoint(model)->metadata),
             fs::path(TERN_GOLDEN_DIR) / "tokenizer" / "smollm2.jsonl");
}

}  // namespace
}  // namespace tern
