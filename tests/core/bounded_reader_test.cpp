// The bounded reader: numbers, views, and what it says at the end of the bytes.
#include "core/bounded_reader.h"

#include <gtest/gtest.h>

#include <array>

#include "core/error.h"

namespace tern {
namespace {

std::span<const std::byte> as_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

template <typename F>
std::string refusal(F&& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  return "";
}

TEST(BoundedReader, LittleEndianInOrder) {
  constexpr std::string_view kBytes(
      "\x01\x02\x03\x04\x05\x06\x07\x00\x00\x80\x3f"
      "abc",
      14);
  BoundedReader reader(as_bytes(kBytes), "[x] f");
  EXPECT_EQ(reader.number<uint8_t>("a"), 1);
  EXPECT_EQ(reader.number<uint16_t>("b"), 0x0302);
  EXPECT_EQ(reader.number<uint32_t>("c"), 0x07060504u);
  EXPECT_EQ(reader.number<float>("d"), 1.0f);
  EXPECT_EQ(reader.offset(), 11u);
  EXPECT_EQ(reader.remaining(), 3u);
  const std::string_view view = reader.string(3, "e");
  EXPECT_EQ(view, "abc");
  EXPECT_EQ(view.data(), kBytes.data() + 11) << "a view, not a copy";
  EXPECT_EQ(reader.remaining(), 0u);
  EXPECT_EQ(reader.bytes(0, "f").size(), 0u);
}

TEST(BoundedReader, NamesWhatIsMissing) {
  BoundedReader reader(as_bytes("abcd"), "[x] file");
  reader.number<uint8_t>("first");
  EXPECT_EQ(refusal([&] { reader.number<uint32_t>("second"); }), "[x] file: second at byte 1: needs 4 bytes, 3 left");
  EXPECT_EQ(reader.offset(), 1u) << "a failed read takes nothing";
  EXPECT_EQ(refusal([&] { reader.bytes(~uint64_t{0}, "all"); }),
            "[x] file: all at byte 1: needs 18446744073709551615 bytes, 3 left");
  EXPECT_EQ(refusal([&] { reader.string(uint64_t{1} << 63, "a\nb"); }),
            "[x] file: a\\x0ab at byte 1: needs 9223372036854775808 bytes, 3 left");
  EXPECT_EQ(refusal([&] { reader.refuse("field", "is odd"); }), "[x] file: field at byte 1: is odd");
}

TEST(BoundedReader, NoBytes) {
  BoundedReader reader({}, "[x] f");
  EXPECT_EQ(reader.remaining(), 0u);
  EXPECT_TRUE(reader.string(0, "nothing").empty());
  EXPECT_NE(refusal([&] { reader.number<uint8_t>("a"); }), "");
}

TEST(Printable, OneLineOfAnyBytes) {
  EXPECT_EQ(printable("plain"), "plain");
  EXPECT_EQ(printable(std::string_view("a\0\x1b\x7f\n", 5)), "a\\x00\\x1b\\x7f\\x0a");
  EXPECT_EQ(printable(std::string(100, 'x')), std::string(80, 'x') + "...");
  EXPECT_EQ(printable("\xc3\xa4"), "\xc3\xa4");
}

}  // namespace
}  // namespace tern
