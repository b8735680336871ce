// tokenizer.json against the oracle: tests/golden/tokenizer_json/*.json, and real ones when they have been fetched.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "formats/mapped_file.h"
#include "support/paths.h"
#include "text/hf/build.h"

namespace tern {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;

std::shared_ptr<const Tokenizer> tokenizer_of(const std::string& json) {
  const auto bytes = std::as_bytes(std::span(json.data(), json.size()));
  return std::make_shared<const Tokenizer>(hf::tokenizer_parts(read_tokenizer_file(bytes, "tokenizer.json"), {}));
}

nlohmann::json json_of(const fs::path& path) { return nlohmann::json::parse(std::ifstream(path)); }

std::vector<fs::path> files_of(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".json" && entry.path().stem() != "texts") found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

TEST(GoldenTokenizerJson, Components) {
  const fs::path folder = fs::path(test::golden_dir()) / "tokenizer_json";
  const auto texts = json_of(folder / "texts.json").get<std::vector<std::string>>();
  const auto found = files_of(folder);
  EXPECT_GE(found.size(), 20u);
  for (const fs::path& path : found) {
    SCOPED_TRACE(path.stem());
    const auto row = json_of(path);
    const auto tokenizer = tokenizer_of(row.at("tokenizer").dump());
    EXPECT_EQ(tokenizer->encode(texts[0]), row.at("surrounded").get<Ids>());
    for (size_t i = 0; i < texts.size(); ++i) {
      const std::string index = std::to_string(i);
      const auto ids = tokenizer->encode(texts[i], {.add_special = false});
      const auto plain = tokenizer->encode(texts[i], {.add_special = false, .parse_special = false});
      const Ids expected = row.at("ids")[i];
      EXPECT_EQ(ids, expected) << texts[i];
      EXPECT_EQ(plain, row.at("plain").value(index, expected)) << texts[i];
      EXPECT_EQ(tokenizer->decode(expected), row.at("decoded").value(index, texts[i]));
    }
  }
}

// Vocabularies of real models, which are not ours to commit: NAME.json is the tokenizer.json, NAME.jsonl has a line a
// text (tests/oracle/real_tokenizers.py).
TEST(GoldenTokenizerJson, RealVocabularies) {
  const char* folder = std::getenv("TERN_REAL_TEXT");
  if (folder == nullptr) GTEST_SKIP() << "TERN_REAL_TEXT is not set: run `make slow`";
  size_t checked = 0;
  for (const fs::path& path : files_of(fs::path(folder) / "tokenizer_json")) {
    const MappedFile file(path.string());
    const Tokenizer tokenizer(hf::tokenizer_parts(read_tokenizer_file(file.bytes(), path.string()), {}));
    std::ifstream lines(fs::path(path).replace_extension(".jsonl"));
    size_t count = 0, wrong = 0;
    for (std::string line; std::getline(lines, line) && wrong < 5; ++count) {
      const auto row = nlohmann::json::parse(line);
      const std::string text = row.at("text");
      const auto ids = tokenizer.encode(text, {.add_special = false});
      wrong += ids != row.at("ids").get<Ids>();
      EXPECT_EQ(ids, row.at("ids").get<Ids>()) << path.stem() << ": " << line.substr(0, 300);
      if (!row.contains("plain_ids")) continue;
      EXPECT_EQ(tokenizer.encode(text, {.add_special = false, .parse_special = false}), row.at("plain_ids").get<Ids>())
          << path.stem() << ": " << line.substr(0, 300);
    }
    EXPECT_GT(count, 0u) << path;
    ++checked;
  }
  EXPECT_GE(checked, 8u);
}

}  // namespace
}  // namespace tern
