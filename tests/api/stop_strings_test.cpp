// Stop strings: whatever the splits, the text before the first stop comes out, and no byte of a stop does.
#include <gtest/gtest.h>

#include <string>

#include "api/stop_strings.h"

namespace tern {
namespace {

std::string feed(StopStrings& stops, const std::string& text, size_t piece) {
  std::string out;
  for (size_t i = 0; i < text.size(); i += piece) out += stops.push(std::string_view(text).substr(i, piece));
  return out + stops.finish();
}

TEST(StopStrings, CutsAtTheFirstStopWhateverTheSplits) {
  const std::string text = "one two END three STOP four";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    StopStrings stops({"STOP", "END", "ENDING"});
    EXPECT_EQ(feed(stops, text, piece), "one two ");
    EXPECT_TRUE(stops.found());
  }
}

TEST(StopStrings, GivesEverythingWhenNothingStops) {
  const std::string text = "STO STOp ENNND ST";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    StopStrings stops({"STOP", "END"});
    EXPECT_EQ(feed(stops, text, piece), text);
    EXPECT_FALSE(stops.found());
  }
}

TEST(StopStrings, HoldsBackOnlyWhatCouldBecomeAStop) {
  StopStrings stops({"abcd"});
  EXPECT_EQ(stops.push("xxab"), "xx");
  EXPECT_EQ(stops.push("c"), "");
  EXPECT_EQ(stops.push("x"), "abcx");
}

TEST(StopStrings, NothingComesAfterTheStop) {
  StopStrings stops({"."});
  EXPECT_EQ(stops.push("a.b"), "a");
  EXPECT_EQ(stops.push("c"), "");
  EXPECT_EQ(stops.finish(), "");
}

}  // namespace
}  // namespace tern
