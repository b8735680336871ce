// What Python's str does, on text with marks: every byte of a result keeps the mark of the byte that it came from.
//
// Positions and lengths count code points; a byte that is not valid UTF-8 counts as one. Whoever calls pays the budget
// for the bytes of the arguments; results that may be longer are paid here.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "text/jinja/value.h"
#include "text/marked_text.h"

namespace tern::jinja {

// Where each code point begins, and the end: [code points + 1].
std::vector<uint32_t> code_point_starts(std::string_view text);
size_t count_code_points(std::string_view text);
std::vector<Value> characters(Budget& budget, const MarkedText& text);

bool is_space(char32_t point);  // str.isspace
bool is_cased_upper(char32_t point);
bool is_cased_lower(char32_t point);
bool is_letter(char32_t point);  // str.isalpha
bool is_digit(char32_t point);   // str.isdigit
bool is_printable(char32_t point);

// The first place at or after `from`; linear time (two-way search).
size_t find_bytes(std::string_view text, std::string_view wanted, size_t from);

enum class Side : uint8_t { kBoth, kLeft, kRight };
// Without `characters`: white space.
MarkedText strip(const MarkedText& text, Side side, const MarkedText* characters = nullptr);

MarkedText upper(const MarkedText& text);
MarkedText lower(const MarkedText& text);
MarkedText capitalize(const MarkedText& text);
// A word begins after every code point for which `separates` holds; its first letter is upper, the rest lower.
MarkedText title(const MarkedText& text, const std::function<bool(char32_t)>& separates);

// At most `count` replacements (negative: all).
MarkedText replace(Budget& budget, const MarkedText& text, const MarkedText& from, const MarkedText& to, int64_t count);
// Without `separator`: at runs of white space, no empty parts. At most `count` cuts (negative: all).
std::vector<Value> split(Budget& budget, const MarkedText& text, const MarkedText* separator, int64_t count,
                         bool from_right);
std::vector<MarkedText> split_lines(const MarkedText& text, bool keep_ends);
MarkedText repeat(Budget& budget, const MarkedText& text, int64_t count);

// "%s is %d" % values, and "{} {name}".format(...).
MarkedText format_percent(Budget& budget, const MarkedText& format, const Arguments& values);
MarkedText format_braces(Interpreter& interpreter, const MarkedText& format, const Arguments& values);

}  // namespace tern::jinja
