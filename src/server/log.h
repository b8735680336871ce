// What the server says on stderr: one line an event, with a level and named fields, as text (logfmt) or JSON.
//
// One log for the process, any thread; a line is one write, so lines stay whole. Never blocks: while nobody reads
// stderr lines are dropped and counted. No line ever holds text of a prompt or an answer; who logs sees to that.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tern {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarning, kError, kOff };
enum class LogFormat : uint8_t { kText, kJson };

std::optional<LogLevel> log_level_of(std::string_view name);    // "debug" ... "off"
std::optional<LogFormat> log_format_of(std::string_view name);  // "text", "json"

// Before anything is logged; warnings and errors as text otherwise.
void configure_log(LogLevel least, LogFormat format);
uint64_t log_lines_dropped();

class LogLine {
 public:
  // `event` says what happened, in one or few words.
  LogLine(LogLevel level, std::string_view event);
  ~LogLine();  // writes it
  LogLine(const LogLine&) = delete;
  LogLine& operator=(const LogLine&) = delete;

  LogLine& add(std::string_view name, std::string_view value);
  LogLine& add(std::string_view name, std::integral auto value) {
    return add_number(name, static_cast<int64_t>(value));
  }
  LogLine& add(std::string_view name, double value);  // three decimals
  const std::string& text() const { return text_; }

 private:
  LogLine& add_number(std::string_view name, int64_t value);
  void key(std::string_view name);

  const bool wanted_;
  const LogFormat format_;
  std::string text_;
};

}  // namespace tern
