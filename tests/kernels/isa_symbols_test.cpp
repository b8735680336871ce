// Objects compiled with an instruction set of their own must not define weak symbols: the linker keeps one copy of an
// inline function, and were it theirs, a processor without that instruction set would run it.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "support/paths.h"

namespace tern {
namespace {

std::vector<std::string> isa_objects() {
  std::vector<std::string> objects;
  const std::filesystem::path root = std::filesystem::path(test::build_dir()) / "src";
  if (!std::filesystem::exists(root)) return objects;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    const std::string name = entry.path().filename().string();
    for (const char* isa : {"_avx2.cpp.o", "_avx512.cpp.o", "_amx.cpp.o"}) {
      if (name.ends_with(isa)) objects.push_back(entry.path().string());
    }
  }
  return objects;
}

// Output of `nm OBJECT`, or nothing when it cannot be run.
std::string symbols_of(const std::string& object) {
  std::string output;
  FILE* pipe = popen(("nm -C '" + object + "' 2>/dev/null").c_str(), "r");
  if (pipe == nullptr) return output;
  std::array<char, 4096> buffer;
  while (fgets(buffer.data(), buffer.size(), pipe) != nullptr) output += buffer.data();
  pclose(pipe);
  return output;
}

// The lines of nm whose type letter says weak (W, V; in lower case without a default) or unique (u).
std::vector<std::string> weak_lines(const std::string& symbols) {
  std::vector<std::string> weak;
  std::istringstream lines(symbols);
  for (std::string line; std::getline(lines, line);) {
    if (line.size() > 17 && std::string_view("WVwvu").find(line[17]) != std::string_view::npos) weak.push_back(line);
  }
  return weak;
}

TEST(IsaSymbols, NoWeakSymbolInAnyIsaObject) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers add symbols of their own";
#endif
  const std::vector<std::string> objects = isa_objects();
  if (objects.empty()) GTEST_SKIP() << "no ISA object in " << test::build_dir();
  for (const std::string& object : objects) {
    const std::string symbols = symbols_of(object);
    if (symbols.empty()) GTEST_SKIP() << "nm does not run here";
    for (const std::string& line : weak_lines(symbols)) ADD_FAILURE() << object << ": " << line;
  }
}

TEST(IsaSymbols, TheTestSeesWeakSymbols) {
  EXPECT_EQ(weak_lines("0000000000000000 W tern::f()\n                 U g\n0000000000000010 t tern::h()\n").size(),
            1u);
  EXPECT_EQ(weak_lines("                 w h\n").size(), 1u);
}

}  // namespace
}  // namespace tern
