// Strings written straight into JSON, against the library that reads and writes all other JSON.
#include "server/json_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/rng.h"

namespace tern {
namespace {

std::string written(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string by_library(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

TEST(JsonText, EscapesAsTheLibraryDoes) {
  for (const std::string text :
       {"", "plain", "\"\\/\b\f\n\r\t", "Zo\xc3\xab \xe2\x82\xac \xf0\x9f\x98\x80", "a\x7f b"}) {
    EXPECT_EQ(written(text), by_library(text));
  }
  for (int byte = 0; byte < 0x80; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    EXPECT_EQ(written(text), by_library(text)) << byte;
  }
}

TEST(JsonText, AnyBytesMakeAValidString) {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    std::string text;
    for (uint64_t i = 0; i < seed % 40; ++i) text.push_back(static_cast<char>(random_bits(seed, i)));
    const auto value = nlohmann::json::parse(written(text));
    EXPECT_EQ(value.get<std::string>(), nlohmann::json::parse(by_library(text)).get<std::string>()) << seed;
  }
}

}  // namespace
}  // namespace tern
