#include "support/paths.h"

namespace tern::test {

std::string golden_dir() { return TERN_SOURCE_DIR "/tests/golden"; }
std::string source_dir() { return TERN_SOURCE_DIR; }
std::string build_dir() { return TERN_BUILD_DIR; }

}  // namespace tern::test
