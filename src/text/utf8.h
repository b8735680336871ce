// UTF-8 one code point at a time, with invalid input as an answer and never as a fault.
//
// Invalid sequences follow the Unicode Standard's "maximal subpart" practice (section 3.9, table 3-7), which Python's
// errors="replace" uses too: the longest prefix of a well-formed sequence counts as one error. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tern {

enum class Utf8Status : uint8_t {
  kValid,
  kInvalid,
  kIncomplete,  // the text ends inside a sequence that is well-formed so far
};

struct CodePoint {
  char32_t value = 0;  // 0xFFFD unless kValid
  uint32_t bytes = 1;  // how many bytes it covers, at least 1
  Utf8Status status = Utf8Status::kValid;
};

// The code point at byte `at` (< text.size()).
CodePoint code_point_at(std::string_view text, size_t at);

// Appends the UTF-8 of `value` (a scalar value).
void append_utf8(std::string& out, char32_t value);

// Bytes from `at` on up to the first that is not part of a valid sequence.
size_t valid_utf8_length(std::string_view text, size_t at);

// The text with every invalid or incomplete sequence as one U+FFFD.
std::string replace_invalid_utf8(std::string_view text);

}  // namespace tern
