// Giving back pages: what is resident shrinks, and nothing is lost.
#include "core/host_memory.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

namespace tern {
namespace {

// A line of /proc/self/status, KiB.
int64_t status_kib(const std::string& key) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) return std::stoll(line.substr(key.size() + 1));
  }
  return -1;
}

TEST(HostMemory, ProgramPagesAreGivenBackAndComeAgain) {
  const int64_t before = status_kib("RssFile");
  ASSERT_GT(before, 0);
  release_program_pages();
  const int64_t after = status_kib("RssFile");
  EXPECT_LT(after, before);
  EXPECT_THROW(throw std::string("unwinding reads tables that were given back"), std::string);
}

TEST(HostMemory, PeakIsAtLeastWhatIsResident) {
  EXPECT_GE(peak_resident_bytes() / 1024, static_cast<uint64_t>(status_kib("RssAnon")));
  EXPECT_GT(available_memory_bytes(), peak_resident_bytes());
}

}  // namespace
}  // namespace tern
