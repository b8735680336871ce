#include "cli/progress.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace tern {
namespace {

constexpr uint64_t kCells = 30;

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

ProgressBar::ProgressBar(std::string label, uint64_t total_bytes)
    : label_(std::move(label)),
      total_bytes_(std::max<uint64_t>(total_bytes, 1)),
      visible_(isatty(STDERR_FILENO) && variable("TERM") != "dumb"),
      coloured_(variable("NO_COLOR").empty()) {
  show(0);
}

ProgressBar::~ProgressBar() {
  if (visible_) std::fputs("\r\x1b[K", stderr);
}

void ProgressBar::show(uint64_t done_bytes) {
  if (!visible_) return;
  done_bytes_ = std::clamp(done_bytes, done_bytes_, total_bytes_);
  const double share = static_cast<double>(done_bytes_) / static_cast<double>(total_bytes_);
  const auto filled = static_cast<size_t>(share * kCells);
  const std::string line =
      fmt::format("\r{} {}{}{}{} {:3.0f} % of {}", label_, coloured_ ? "\x1b[32m" : "", std::string(filled, '#'),
                  coloured_ ? "\x1b[0m" : "", std::string(kCells - filled, '.'), share * 100, megabytes(total_bytes_));
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
}

std::string megabytes(uint64_t bytes) {
  return bytes < 1'000'000 ? fmt::format("{} bytes", bytes) : fmt::format("{} MB", (bytes + 500'000) / 1'000'000);
}

}  // namespace tern
