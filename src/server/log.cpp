#include "server/log.h"

#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <ctime>

#include "server/json_text.h"

namespace tern {
namespace {

constexpr std::array<std::string_view, 5> kLevels{"debug", "info", "warning", "error", "off"};
constexpr size_t kLineBytes = 4096;  // a pipe that is ready takes so many without blocking (PIPE_BUF)
constexpr size_t kValueBytes = 512;

std::atomic<LogLevel> least_level{LogLevel::kWarning};
std::atomic<LogFormat> line_format{LogFormat::kText};
std::atomic<uint64_t> dropped{0};

std::string timestamp() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  std::tm parts{};
  gmtime_r(&now.tv_sec, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, now.tv_nsec / 1'000'000);
}

// A value that needs no quotes in logfmt.
bool plain(std::string_view value) {
  return !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return c > 0x20 && c < 0x7f && c != '"' && c != '=' && c != '\\';
  });
}

}  // namespace

std::optional<LogLevel> log_level_of(std::string_view name) {
  const auto at = std::find(kLevels.begin(), kLevels.end(), name);
  if (at == kLevels.end()) return std::nullopt;
  return static_cast<LogLevel>(at - kLevels.begin());
}

std::optional<LogFormat> log_format_of(std::string_view name) {
  if (name == "text") return LogFormat::kText;
  if (name == "json") return LogFormat::kJson;
  return std::nullopt;
}

void configure_log(LogLevel least, LogFormat format) {
  least_level = least;
  line_format = format;
}

uint64_t log_lines_dropped() { return dropped; }

LogLine::LogLine(LogLevel level, std::string_view event) : wanted_(level >= least_level), format_(line_format) {
  if (!wanted_) return;
  text_.reserve(512);
  if (format_ == LogFormat::kJson) text_.push_back('{');
  add("time", timestamp());
  add("level", kLevels[static_cast<size_t>(level)]);
  add("event", event);
}

LogLine::~LogLine() {
  if (!wanted_) return;
  if (format_ == LogFormat::kJson) text_.push_back('}');
  text_.push_back('\n');
  pollfd stream{STDERR_FILENO, POLLOUT, 0};
  const bool fits = text_.size() <= kLineBytes && ::poll(&stream, 1, 0) > 0 && (stream.revents & POLLOUT) != 0;
  if (!fits || ::write(STDERR_FILENO, text_.data(), text_.size()) < 0) ++dropped;
}

void LogLine::key(std::string_view name) {
  if (text_.size() > 1) text_.push_back(format_ == LogFormat::kJson ? ',' : ' ');
  if (format_ == LogFormat::kText) {
    text_.append(name).push_back('=');
  } else {
    append_json_string(text_, name);
    text_.push_back(':');
  }
}

LogLine& LogLine::add(std::string_view name, std::string_view value) {
  if (!wanted_) return *this;
  key(name);
  if (format_ == LogFormat::kText && plain(value)) {
    text_.append(value.substr(0, kValueBytes));
  } else {
    append_json_string(text_, value.substr(0, kValueBytes));
  }
  return *this;
}

LogLine& LogLine::add_number(std::string_view name, int64_t value) {
  if (!wanted_) return *this;
  key(name);
  text_ += std::to_string(value);
  return *this;
}

LogLine& LogLine::add(std::string_view name, double value) {
  if (!wanted_) return *this;
  key(name);
  text_ += fmt::format("{:.3f}", value);
  return *this;
}

}  // namespace tern
