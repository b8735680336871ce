#include "core/switch_list.h"

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <string>

#include "core/error.h"

namespace tern {

void read_switches(const char* variable, std::string_view where, std::initializer_list<Switch> known) {
  const char* text = std::getenv(variable);
  std::istringstream list(text == nullptr ? "" : text);
  for (std::string entry; std::getline(list, entry, ',');) {
    const auto is_it = [&](const Switch& one) { return entry == "-" + std::string(one.name); };
    const Switch* found = std::find_if(known.begin(), known.end(), is_it);
    if (found == known.end()) {
      std::string names;
      for (const Switch& one : known) names += (names.empty() ? "-" : ", -") + std::string(one.name);
      bad_input(std::string(where) + " " + variable + ": \"" + printable(entry) + "\" is none of " + names);
    }
    *found->on = false;
  }
}

}  // namespace tern
