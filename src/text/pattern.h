// A compiled regular expression (PCRE2 with UTF and Unicode properties, JIT where there is one with a stack of its
// own); nothing recurses on the machine's stack. Immutable, any thread.
//
// Patterns of our own are linear and may run as long as the text takes. One that a file brings may be made to take for
// ever: its steps are bounded by the text's length, and where they do not do, the match is refused.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace tern {

class Pattern {
 public:
  // One of our own: a mistake in it is a bug.
  explicit Pattern(std::string_view source);
  // One of a file, whose lines begin and end at \n for ^ and $. Throws a bad-input line that begins with `where`.
  Pattern(std::string_view source, std::string where);
  ~Pattern();
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;

  // The first match in `text`, valid UTF-8, at or after `from`: sets begin and end, or answers false. May be empty.
  bool match(std::string_view text, size_t from, size_t& begin, size_t& end) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
  std::string where_;
  bool jit_ = false;
};

}  // namespace tern
