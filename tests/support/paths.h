// Where tests find what they compare with. Compiled into one file, so that the objects of all others are the same
// wherever the repository lies.
#pragma once

#include <string>

namespace tern::test {

std::string golden_dir();  // tests/golden
std::string source_dir();  // the repository's root
std::string build_dir();

}  // namespace tern::test
