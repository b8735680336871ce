// JSON text as a stream of events: no tree is built, so memory is what the visitor keeps. Internal to formats.
//
// Nesting is bounded by Limits::kJsonDepth and parsing does not recurse. A visitor refuses by throwing. Pure function,
// any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tern {

class JsonVisitor {
 public:
  virtual ~JsonVisitor() = default;
  virtual void null() = 0;
  virtual void boolean(bool value) = 0;
  virtual void integer(int64_t value) = 0;
  virtual void number(double value) = 0;  // a fraction, an exponent, or an integer beyond 63 bits
  virtual void string(std::string_view value) = 0;
  virtual void begin_object() = 0;
  virtual void key(std::string_view value) = 0;
  virtual void end_object() = 0;
  virtual void begin_array() = 0;
  virtual void end_array() = 0;
};

// One document, nothing but white space after it. Throws one bad-input line that begins with `source`.
void parse_json(std::span<const std::byte> text, const std::string& source, JsonVisitor& visitor);

}  // namespace tern
