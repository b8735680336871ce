#include "text/jinja/lexer.h"

#include <algorithm>
#include <array>

#include "text/jinja/budget.h"
#include "text/jinja/strings.h"
#include "text/utf8.h"

namespace tern::jinja {
namespace {

bool is_ascii_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_decimal(char c) { return c >= '0' && c <= '9'; }
bool begins_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}

std::string unify_line_ends(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out.push_back(source[i]);
    } else {
      out.push_back('\n');
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(unify_line_ends(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) data_until_tag();
    add(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void refuse(const std::string& reason) { raise("line " + std::to_string(line_) + ": " + reason); }
  bool next_is(std::string_view text) const { return source_.compare(at_, text.size(), text) == 0; }
  void add(TokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }
  void advance(size_t count) {
    line_ += static_cast<int32_t>(std::count(source_.begin() + at_, source_.begin() + at_ + count, '\n'));
    at_ += count;
  }
  char peek(size_t ahead = 0) const { return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0'; }

  // Text up to the next tag, then the tag. `sign` is the character after the tag's two: '-', '+' or another.
  void data_until_tag() {
    size_t tag = at_;
    while (true) {
      tag = source_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= source_.size()) return data(source_.size(), '\0', false);
      const char second = source_[tag + 1];
      if (second == '{' || second == '%' || second == '#') break;
      ++tag;
    }
    const char second = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    data(tag, sign, second != '{');
    advance(sign == '-' || sign == '+' ? 3 : 2);
    if (second == '#') return comment();
    if (second == '%' && raw_begins()) return raw();
    add(second == '{' ? TokenKind::kExpressionBegin : TokenKind::kBlockBegin, "");
    inside_tag(second == '{' ? '}' : '%');
  }

  // The text from here to `end`, less what the tag behind it takes away.
  void data(size_t end, char sign, bool strips_indent) {
    size_t keep = end;
    if (sign == '-') {
      keep = at_ + strip({source_.substr(at_, end - at_), true}, Side::kRight).size();
    } else if (sign != '+' && strips_indent) {
      const size_t line_end = source_.find_last_of('\n', end - 1);
      const bool in_data = end > at_ && line_end != std::string::npos && line_end >= at_;
      const size_t start = in_data ? line_end + 1 : at_;
      const bool whole_line = in_data || at_line_start_;
      if (whole_line && std::all_of(source_.begin() + start, source_.begin() + end, is_ascii_space)) keep = start;
    }
    if (keep > at_) add(TokenKind::kData, source_.substr(at_, keep - at_));
    advance(end - at_);
  }

  // The end of a tag has been read up to its last character; takes the white space that goes with it.
  void after_tag(bool strips, bool trims) {
    const size_t begin = at_;
    if (strips) {
      size_t end = at_;
      while (end < source_.size()) {
        const CodePoint point = code_point_at(source_, end);
        if (!is_space(point.value)) break;
        end += point.bytes;
      }
      advance(end - at_);
    } else if (trims && peek() == '\n') {
      advance(1);
    }
    at_line_start_ = at_ > begin && source_[at_ - 1] == '\n';
  }

  void comment() {
    const size_t end = source_.find("#}", at_);
    if (end == std::string::npos) refuse("a comment has no end");
    const char sign = end > at_ ? source_[end - 1] : '\0';
    advance(end + 2 - at_);
    after_tag(sign == '-', sign != '+');
  }

  // Whether "raw" and the end of its tag follow; takes them then.
  bool raw_begins() {
    size_t i = at_;
    const auto skip = [&] {
      while (i < source_.size() && is_ascii_space(source_[i])) ++i;
    };
    skip();
    if (source_.compare(i, 3, "raw") != 0) return false;
    i += 3;
    skip();
    const bool strips = i < source_.size() && source_[i] == '-';
    if (strips) ++i;
    if (source_.compare(i, 2, "%}") != 0) return false;
    advance(i + 2 - at_);
    after_tag(strips, false);
    return true;
  }

  void raw() {
    for (size_t tag = source_.find("{%", at_); tag != std::string::npos; tag = source_.find("{%", tag + 2)) {
      size_t i = tag + 2;
      const char sign = i < source_.size() ? source_[i] : '\0';
      if (sign == '-' || sign == '+') ++i;
      while (i < source_.size() && is_ascii_space(source_[i])) ++i;
      if (source_.compare(i, 6, "endraw") != 0) continue;
      i += 6;
      while (i < source_.size() && is_ascii_space(source_[i])) ++i;
      const char end_sign = i < source_.size() ? source_[i] : '\0';
      if (end_sign == '-' || end_sign == '+') ++i;
      if (source_.compare(i, 2, "%}") != 0) continue;
      data(tag, sign, true);
      advance(i + 2 - at_);
      return after_tag(end_sign == '-', end_sign != '+');
    }
    refuse("a raw block has no end");
  }

  // Tokens up to the end of the tag, which begins with `closing` when no bracket is open.
  void inside_tag(char closing) {
    std::string open;
    while (true) {
      while (at_ < source_.size() && is_ascii_space(source_[at_])) advance(1);
      if (at_ >= source_.size()) refuse("a tag has no end");
      if (open.empty()) {
        const char sign = peek();
        const size_t skip = sign == '-' || (sign == '+' && closing == '%') ? 1 : 0;
        if (peek(skip) == closing && peek(skip + 1) == '}') {
          advance(skip + 2);
          add(closing == '}' ? TokenKind::kExpressionEnd : TokenKind::kBlockEnd, "");
          return after_tag(skip == 1 && sign == '-', closing == '%' && skip == 0);
        }
      }
      one_token(open);
    }
  }

  void one_token(std::string& open) {
    const char c = peek();
    if (is_decimal(c)) return number();
    if (c == '"' || c == '\'') return string(c);
    if (begins_name(c)) {
      size_t end = at_;
      while (end < source_.size() && (begins_name(source_[end]) || is_decimal(source_[end]))) ++end;
      add(TokenKind::kName, source_.substr(at_, end - at_));
      return advance(end - at_);
    }
    static constexpr std::array<std::string_view, 27> kOperators{"==", "!=", ">=", "<=", "//", "**", "+", "-", "/",
                                                                 "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                                 ">",  "<",  "=",  ".",  ":",  "|",  ",", ";", "!"};
    const auto found = std::find_if(kOperators.begin(), kOperators.end(), [&](auto op) { return next_is(op); });
    if (found == kOperators.end() || *found == "!") refuse("unexpected character '" + std::string(1, c) + "'");
    balance(open, (*found)[0]);
    add(TokenKind::kOperator, std::string(*found));
    advance(found->size());
  }

  void balance(std::string& open, char c) {
    if (c == '(' || c == '[' || c == '{') {
      open.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
    } else if (c == ')' || c == ']' || c == '}') {
      if (open.empty() || open.back() != c) refuse("unexpected '" + std::string(1, c) + "'");
      open.pop_back();
    }
  }

  // Digits with single underscores between.
  size_t digits_end(size_t i) const {
    while (i < source_.size() &&
           (is_decimal(source_[i]) || (source_[i] == '_' && i + 1 < source_.size() && is_decimal(source_[i + 1]) &&
                                       is_decimal(source_[i - 1])))) {
      ++i;
    }
    return i;
  }

  void number() {
    size_t end = digits_end(at_);
    bool real = false;
    const auto digit_at = [&](size_t i) { return i < source_.size() && is_decimal(source_[i]); };
    if (end < source_.size() && source_[end] == '.' && digit_at(end + 1)) {
      real = true;
      end = digits_end(end + 1);
    }
    if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      const size_t sign = end + 1 < source_.size() && (source_[end + 1] == '+' || source_[end + 1] == '-') ? 1 : 0;
      if (digit_at(end + 1 + sign)) {
        real = true;
        end = digits_end(end + 1 + sign);
      }
    }
    std::string text = source_.substr(at_, end - at_);
    std::erase(text, '_');
    add(real ? TokenKind::kFloat : TokenKind::kInteger, text);
    advance(end - at_);
  }

  void string(char quote) {
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) refuse("a string has no end");
    add(TokenKind::kString, unescape(std::string_view(source_).substr(at_ + 1, end - at_ - 1)));
    advance(end + 1 - at_);
  }

  std::string unescape(std::string_view text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\\' || i + 1 == text.size()) {
        out.push_back(text[i]);
        continue;
      }
      i = escape(text, i + 1, out);
    }
    return out;
  }

  // The escape whose letter is at `i`; answers the place of its last character.
  size_t escape(std::string_view text, size_t i, std::string& out) {
    static constexpr std::string_view kLetters = "\\'\"abfnrtv";
    static constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
    const char c = text[i];
    if (c == '\n') return i;
    if (const size_t known = kLetters.find(c); known != std::string_view::npos) {
      out.push_back(kMeanings[known]);
      return i;
    }
    if (c == 'x' || c == 'u' || c == 'U') {
      const size_t count = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      append_utf8(out, number_of(text.substr(i + 1, count), count, 16));
      return i + count;
    }
    if (c >= '0' && c <= '7') {
      size_t end = i;
      while (end < text.size() && end < i + 3 && text[end] >= '0' && text[end] <= '7') ++end;
      append_utf8(out, number_of(text.substr(i, end - i), end - i, 8));
      return end - 1;
    }
    out.push_back('\\');
    out.push_back(c);
    return i;
  }

  char32_t number_of(std::string_view digits, size_t count, uint32_t base) {
    uint64_t value = 0;
    for (const char c : digits) {
      const int lower = c | 0x20;
      const int digit = is_decimal(c) ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 99;
      if (digit >= static_cast<int>(base)) refuse("an escape in a string has too few digits");
      value = value * base + static_cast<uint64_t>(digit);
    }
    if (digits.size() != count) refuse("an escape in a string has too few digits");
    if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) refuse("an escape in a string is no character");
    return static_cast<char32_t>(value);
  }

  std::string source_;
  size_t at_ = 0;
  int32_t line_ = 1;
  bool at_line_start_ = true;  // the tag before took a line end with it, or there is none
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace tern::jinja
