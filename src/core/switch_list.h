// Switches in an environment variable, for measuring what a technique gives: a comma list of -NAME, each of which turns
// one thing off. For the start of a program.
#pragma once

#include <initializer_list>
#include <string_view>

namespace tern {

struct Switch {
  std::string_view name;
  bool* on;
};

// Sets *on to false for every -NAME in `variable`. Throws bad_input, beginning with `where`, for anything else in it.
void read_switches(const char* variable, std::string_view where, std::initializer_list<Switch> known);

}  // namespace tern
