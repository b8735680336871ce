#include "text/hf/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "text/bert_classes.h"
#include "text/hf/after_unicode_9.h"
#include "text/utf8.h"

namespace tern::hf {
namespace {

utf8proc_category_t category(char32_t point) { return utf8proc_category(static_cast<utf8proc_int32_t>(point)); }

bool is_after_unicode_9(char32_t point) {
  const auto at = std::upper_bound(kAfterUnicode9.begin(), kAfterUnicode9.end(), point,
                                   [](char32_t value, const CharacterRange& range) { return value < range.first; });
  return at != kAfterUnicode9.begin() && point <= (at - 1)->last;
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; });
}

}  // namespace

bool is_white_space(char32_t point) {
  return (point >= 9 && point <= 13) || point == ' ' || point == 0x85 || point == 0xA0 || point == 0x1680 ||
         (point >= 0x2000 && point <= 0x200A) || point == 0x2028 || point == 0x2029 || point == 0x202F ||
         point == 0x205F || point == 0x3000;
}

bool is_numeric(char32_t point) {
  const auto kind = category(point);
  return kind >= UTF8PROC_CATEGORY_ND && kind <= UTF8PROC_CATEGORY_NO;
}

bool is_punctuation(char32_t point) { return bert::contains(bert::kPunctuation, point); }

bool is_mark(char32_t point) {
  if (point == 0x1CF2 || point == 0x1CF3) return true;  // letters since Unicode 12
  const auto kind = category(point);
  return kind >= UTF8PROC_CATEGORY_MN && kind <= UTF8PROC_CATEGORY_ME && !is_after_unicode_9(point);
}

bool is_word_part(char32_t point) {
  const auto kind = category(point);
  const bool letter = kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
  // Letters in circles and squares are Alphabetic too, and the two joiners count.
  const bool enclosed = (point >= 0x24B6 && point <= 0x24E9) || (point >= 0x1F130 && point <= 0x1F149) ||
                        (point >= 0x1F150 && point <= 0x1F169) || (point >= 0x1F170 && point <= 0x1F189);
  const bool mark = kind >= UTF8PROC_CATEGORY_MN && kind <= UTF8PROC_CATEGORY_ME;
  return letter || mark || enclosed || kind == UTF8PROC_CATEGORY_ND || kind == UTF8PROC_CATEGORY_NL ||
         kind == UTF8PROC_CATEGORY_PC || point == 0x200C || point == 0x200D;
}

namespace {

using Points = std::vector<utf8proc_int32_t>;

Points decomposed(std::string_view text, utf8proc_option_t options) {
  Points points;
  points.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    at += point.bytes;
    constexpr utf8proc_ssize_t kLongest = 32;  // the longest decomposition has 18 characters
    utf8proc_int32_t parts[kLongest];
    const auto count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(point.value), parts, kLongest, options, nullptr);
    TERN_CHECK(count >= 0 && count <= kLongest);
    points.insert(points.end(), parts, parts + count);
  }
  return points;
}

// Marks behind a character in the order of their classes. The library's own sorting takes the square of their number.
void order_marks(Points& points) {
  const auto order = [](utf8proc_int32_t point) { return utf8proc_get_property(point)->combining_class; };
  for (size_t at = 0; at < points.size();) {
    if (order(points[at++]) == 0) continue;
    const size_t begin = at - 1;
    while (at < points.size() && order(points[at]) != 0) ++at;
    std::stable_sort(points.begin() + begin, points.begin() + at, [&](auto a, auto b) { return order(a) < order(b); });
  }
}

}  // namespace

namespace {

void append_in_form(std::string_view text, Form form, std::string& made) {
  if (text.empty()) return;
  const bool compatible = form == Form::kNfkc || form == Form::kNfkd;
  Points points = decomposed(
      text, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0)));
  order_marks(points);
  if (form == Form::kNfc || form == Form::kNfkc) {
    const auto count = utf8proc_normalize_utf32(points.data(), static_cast<utf8proc_ssize_t>(points.size()),
                                                static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    TERN_CHECK(count >= 0);
    points.resize(static_cast<size_t>(count));
  }
  for (const auto point : points) append_utf8(made, static_cast<char32_t>(point));
}

}  // namespace

std::string in_form(std::string_view text, Form form) {
  if (is_ascii(text)) return std::string(text);
  std::string made;
  made.reserve(text.size());
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    if (is_after_unicode_9(point.value)) {  // nothing moves or joins across it
      append_in_form(text.substr(done, at - done), form, made);
      made += text.substr(at, point.bytes);
      done = at + point.bytes;
    }
    at += point.bytes;
  }
  append_in_form(text.substr(done), form, made);
  return made;
}

std::string lower_case(std::string_view text) {
  std::string lower;
  lower.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    at += point.bytes;
    append_utf8(lower, point.value == 0x130
                           ? 'i'
                           : static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(point.value))));
    if (point.value == 0x130) append_utf8(lower, 0x307);  // the one letter whose small form is two characters
  }
  return lower;
}

}  // namespace tern::hf
