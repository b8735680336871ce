#include "cli/sse_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/error.h"

namespace tern {
namespace {

using Events = std::vector<std::string>;

Events read(const std::vector<std::string_view>& pieces) {
  Events out;
  SseReader reader([&](std::string_view data) { out.emplace_back(data); });
  for (const std::string_view piece : pieces) reader.feed(piece);
  return out;
}

constexpr std::string_view kStream =
    ": a comment\n\nevent: x\ndata: one\nid: 7\n\ndata:two\r\n\r\ndata: a\ndata:  b\ndata\n\ndata: "
    "\xe2\x82\xac\r\rdata: cut";
const Events kEvents{"one", "two", "a\n b\n", "\xe2\x82\xac"};

TEST(SseReader, ReadsFieldsCommentsAndEveryLineEnd) { EXPECT_EQ(read({kStream}), kEvents); }

TEST(SseReader, SplitsAnywhere) {
  for (size_t i = 0; i <= kStream.size(); ++i) {
    for (size_t j = i; j <= kStream.size(); ++j) {
      ASSERT_EQ(read({kStream.substr(0, i), kStream.substr(i, j - i), kStream.substr(j)}), kEvents) << i << " " << j;
    }
  }
}

TEST(SseReader, EventsWithoutDataAreNone) { EXPECT_EQ(read({"event: ping\n\n\n\n: x\n\n"}), Events{}); }

TEST(SseReader, AnEmptyDataFieldIsAnEvent) { EXPECT_EQ(read({"data:\n\n"}), Events{""}); }

TEST(SseReader, AnEventHasALimit) {
  SseReader line([](std::string_view) {});
  const std::string million(1 << 20, 'x');
  EXPECT_THROW(
      {
        for (int i = 0; i < 20; ++i) line.feed(million);
      },
      Error);
  SseReader lines([](std::string_view) {});
  EXPECT_THROW(
      {
        for (int i = 0; i < 20; ++i) lines.feed("data: " + million + "\n");
      },
      Error);
}

}  // namespace
}  // namespace tern
