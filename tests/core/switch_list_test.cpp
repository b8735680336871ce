// Switches of an environment variable: each name turns its own off, anything else is refused by name.
#include "core/switch_list.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "core/error.h"

namespace tern {
namespace {

TEST(SwitchList, TurnsOffWhatIsNamed) {
  bool first = true, second = true;
  const auto read = [&](const char* text) {
    first = second = true;
    ::setenv("TERN_TEST_SWITCHES", text, 1);
    read_switches("TERN_TEST_SWITCHES", "[test]", {{"first", &first}, {"second-one", &second}});
  };
  read("");
  EXPECT_TRUE(first && second);
  read("-second-one");
  EXPECT_TRUE(first && !second);
  read("-second-one,-first");
  EXPECT_TRUE(!first && !second);
  for (const char* bad : {"first", "-third", "-first,,", "-first -second-one"}) {
    try {
      read(bad);
      ADD_FAILURE() << bad;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("is none of -first, -second-one"), std::string::npos) << error.what();
    }
  }
  ::unsetenv("TERN_TEST_SWITCHES");
  read_switches("TERN_TEST_SWITCHES", "[test]", {{"first", &first}});
}

}  // namespace
}  // namespace tern
