// Chat templates against jinja2 as transformers sets it: tests/golden/templates/cases.jsonl, byte for byte.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "support/paths.h"
#include "text/chat_template.h"

namespace tern {
namespace {

// The time that the fixtures were made at: 2026-01-31 14:05:09, a Saturday.
std::tm fixture_time() {
  std::tm now{};
  now.tm_year = 126;
  now.tm_mon = 0;
  now.tm_mday = 31;
  now.tm_hour = 14;
  now.tm_min = 5;
  now.tm_sec = 9;
  now.tm_wday = 6;
  now.tm_yday = 30;
  return now;
}

using Json = nlohmann::ordered_json;  // dictionaries keep the order of the file

std::string text_or_empty(const Json& row, const char* key) {
  return row.contains(key) && row[key].is_string() ? row[key].get<std::string>() : "";
}

MarkedText render(const Json& row) {
  const std::string source = row.at("template");
  // An empty source would mean the default template.
  const ChatTemplate chat(source.empty() ? "{# #}" : source, text_or_empty(row, "bos_token"),
                          text_or_empty(row, "eos_token"));
  ChatInputs inputs;
  inputs.messages = jinja::value_from_json(row.at("messages").dump());
  inputs.add_generation_prompt = row.at("add_generation_prompt");
  inputs.now = fixture_time();
  for (const auto& [name, value] : row.at("kwargs").items()) {
    const auto converted = jinja::value_from_json(value.dump());
    if (name == "tools") {
      inputs.tools = converted;
    } else if (name == "documents") {
      inputs.documents = converted;
    } else {
      inputs.kwargs.emplace_back(name, converted);
    }
  }
  return chat.render(inputs);
}

void expect_rendered(const std::filesystem::path& folder) {
  std::ifstream file(folder / "templates" / "cases.jsonl");
  size_t cases = 0;
  for (std::string line; std::getline(file, line); ++cases) {
    const Json row = Json::parse(line);
    const std::string name = row.at("name"), source = row.at("template");
    try {
      const MarkedText rendered = render(row);
      EXPECT_EQ(rendered.text.size(), rendered.trusted.size());
      EXPECT_FALSE(row.contains("error")) << name << ": no error, but \"" << rendered.text << "\"\n" << source;
      if (row.contains("expected")) {
        EXPECT_EQ(rendered.text, row.at("expected").get<std::string>()) << name << "\n" << source;
      }
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      EXPECT_TRUE(row.contains("error")) << name << ": " << error.what() << "\n" << source;
    }
  }
  EXPECT_GT(cases, 0u) << folder;
}

TEST(GoldenTemplates, Cases) { expect_rendered(test::golden_dir()); }

// The templates of real models, which are not ours to commit: `make slow` fetches and renders them.
TEST(GoldenTemplates, RealModels) {
  const char* folder = std::getenv("TERN_REAL_TEXT");
  if (folder == nullptr) GTEST_SKIP() << "TERN_REAL_TEXT is not set: run `make slow`";
  expect_rendered(folder);
}

}  // namespace
}  // namespace tern
