// Getters of the metadata table: what they answer and how they refuse.
#include "formats/metadata.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "core/error.h"

namespace tern::test {
namespace {

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

Metadata sample() {
  Metadata m("[gguf] a.gguf");
  m.set("whole", {int64_t{7}});
  m.set("real", {0.5});
  m.set("nan", {std::nan("")});
  m.set("text", {std::string_view("t")});
  m.set("flag", {true});
  MetadataArray numbers;
  numbers.integers = {1, 2};
  numbers.size = 2;
  m.set("ids", {numbers});
  m.set("none", {MetadataArray{}});
  return m;
}

TEST(Metadata, Answers) {
  const Metadata m = sample();
  EXPECT_EQ(m.integer("whole", 7, 7), 7);
  EXPECT_EQ(m.number("whole"), 7.0);
  EXPECT_EQ(m.number("real"), 0.5);
  EXPECT_EQ(m.numbers("ids"), (std::vector<double>{1, 2}));
  EXPECT_TRUE(m.strings("none").empty());
  EXPECT_TRUE(m.integers("none").empty());
  EXPECT_EQ(m.string_or("absent", "x"), "x");
  EXPECT_EQ(m.number_or("absent", 2.0), 2.0);
  EXPECT_TRUE(m.boolean_or("flag", false));
  EXPECT_EQ(m.integer_or("absent", -1, 0, 5), -1) << "a fallback need not be in range";
}

TEST(Metadata, RefusesByName) {
  const Metadata m = sample();
  EXPECT_EQ(refusal([&] { m.integer("whole", 8, 9); }), "[gguf] a.gguf: whole: 7 is not in [8, 9]");
  EXPECT_EQ(refusal([&] { m.integer("absent", 0, 1); }), "[gguf] a.gguf: absent: is missing");
  EXPECT_EQ(refusal([&] { m.integer("real", 0, 1); }),
            "[gguf] a.gguf: real: is a floating-point number, not an integer");
  EXPECT_EQ(refusal([&] { m.integer_or("text", 0, 0, 1); }), "[gguf] a.gguf: text: is a string, not an integer");
  EXPECT_EQ(refusal([&] { m.number("nan"); }), "[gguf] a.gguf: nan: is NaN");
  EXPECT_EQ(refusal([&] { m.strings("ids"); }), "[gguf] a.gguf: ids: is an array of integers, not an array of strings");
  EXPECT_EQ(refusal([&] { m.strings("text"); }), "[gguf] a.gguf: text: is a string, not an array of strings");
  EXPECT_EQ(refusal([&] { m.boolean("whole"); }), "[gguf] a.gguf: whole: is an integer, not a boolean");
  EXPECT_EQ(refusal([&] { m.array("flag"); }), "[gguf] a.gguf: flag: is a boolean, not an array");
}

TEST(Metadata, SetReplaces) {
  Metadata m = sample();
  const size_t keys = m.keys().size();
  m.set("whole", {int64_t{8}});
  EXPECT_EQ(m.keys().size(), keys);
  EXPECT_EQ(m.integer("whole", 0, 9), 8);
}

}  // namespace
}  // namespace tern::test
