// Chat templates against jinja2 as transformers sets it: tests/golden/templates/cases.jsonl, byte for byte.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

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

MarkedText render(const Json& row, const std::string& source) {
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

// What became of the conversations of one template.
struct Tally {
  std::string name;
  size_t rendered = 0, refused = 0, different = 0;
};

// Of one case what differs, or nothing.
std::string difference(const Json& row, const std::string& source, Tally& tally) {
  try {
    const MarkedText rendered = render(row, source);
    ++tally.rendered;
    EXPECT_EQ(rendered.text.size(), rendered.trusted.size());
    if (row.contains("error")) return "no error, but \"" + rendered.text + "\"";
    const std::string expected = row.at("expected");
    return rendered.text == expected ? "" : "is \"" + rendered.text + "\"\nnot \"" + expected + "\"";
  } catch (const Error& error) {
    ++tally.refused;
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return row.contains("error") ? "" : error.what();
  }
}

// A line without a template has the one before it.
std::vector<Tally> expect_rendered(const std::filesystem::path& folder) {
  std::ifstream file(folder / "templates" / "cases.jsonl");
  std::vector<Tally> tallies;
  std::string source;
  for (std::string line; std::getline(file, line);) {
    const Json row = Json::parse(line);
    const std::string name = row.at("name");
    if (row.contains("template")) {
      source = row.at("template");
      tallies.push_back({name.substr(0, name.find('/'))});
    }
    const std::string differs = difference(row, source, tallies.back());
    if (differs.empty()) continue;
    // The whole of the first; a template that goes wrong does so many times.
    EXPECT_GT(tallies.back().different++, 0u) << name << ": " << differs << "\n" << source;
  }
  EXPECT_GT(tallies.size(), 0u) << folder;
  return tallies;
}

TEST(GoldenTemplates, Cases) { expect_rendered(test::golden_dir()); }

// The templates of real models, which are not ours to commit: `make slow` fetches and renders them.
TEST(GoldenTemplates, RealModels) {
  const char* folder = std::getenv("TERN_REAL_TEXT");
  if (folder == nullptr) GTEST_SKIP() << "TERN_REAL_TEXT is not set: run `make slow`";
  size_t equal = 0;
  const std::vector<Tally> tallies = expect_rendered(folder);
  for (const Tally& tally : tallies) {
    fmt::print("{:60} {:5} rendered {:5} refused {:5} differ\n", tally.name, tally.rendered, tally.refused,
               tally.different);
    equal += tally.different == 0 ? 1 : 0;
  }
  fmt::print("{} of {} templates without a difference\n", equal, tallies.size());
}

}  // namespace
}  // namespace tern
