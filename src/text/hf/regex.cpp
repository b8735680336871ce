#include "text/hf/regex.h"

#include <fmt/core.h>

#include <array>
#include <cctype>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/limits.h"

namespace tern::hf {
namespace {

// The insides of classes. White space is Unicode's property; PCRE2's own \s adds U+180E.
constexpr std::string_view kSpace =
    "\\t-\\r \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";
constexpr std::string_view kWord = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
constexpr std::string_view kHexDigit = "0-9a-fA-F";

using Row = std::pair<std::string_view, std::string_view>;

// [[:name:]]
constexpr std::array<Row, 7> kPosix{{{"alpha", "\\p{Alphabetic}"},
                                     {"digit", "\\p{Nd}"},
                                     {"alnum", "\\p{Alphabetic}\\p{Nd}"},
                                     {"upper", "\\p{Uppercase}"},
                                     {"lower", "\\p{Lowercase}"},
                                     {"space", kSpace},
                                     {"xdigit", kHexDigit}}};

// Names that PCRE2 has only in short.
constexpr std::array<Row, 12> kProperties{{{"Letter", "L"},
                                           {"Mark", "M"},
                                           {"Number", "N"},
                                           {"Punctuation", "P"},
                                           {"Symbol", "S"},
                                           {"Separator", "Z"},
                                           {"Other", "C"},
                                           {"Uppercase_Letter", "Lu"},
                                           {"Lowercase_Letter", "Ll"},
                                           {"Decimal_Number", "Nd"},
                                           {"Alpha", "Alphabetic"},
                                           {"Space", "White_Space"}}};

template <size_t kCount>
std::string_view row_of(const std::array<Row, kCount>& rows, std::string_view name, std::string_view fallback) {
  for (const auto& [known, value] : rows) {
    if (known == name) return value;
  }
  return fallback;
}

class Translator {
 public:
  Translator(std::string_view pattern, const std::string& where) : in_(pattern), where_(where) {}

  std::string translate() {
    while (at_ < in_.size()) next();
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    bad_input(fmt::format("{}: pattern \"{}\" at {}: {} is not read", where_, printable(in_), at_, what));
  }
  bool sees(std::string_view text) const { return in_.substr(at_).starts_with(text); }

  void next();
  void group();
  void quantifier();
  void set();
  void set_member();
  void escape(bool in_set);
  void property(bool in_set);
  void code_unit();
  void members(std::string_view inside, bool negated, bool in_set);

  std::string_view in_;
  const std::string& where_;
  size_t at_ = 0;
  std::string out_;
  size_t atom_ = 0;             // where the last atom begins in out_
  std::vector<size_t> groups_;  // where the open groups do
};

void Translator::next() {
  const char c = in_[at_];
  if (c == '{' || c == '*' || c == '+' || c == '?') return quantifier();
  if (c != ')') atom_ = out_.size();
  if (c == '\\') return escape(false);
  if (c == '[') return set();
  if (c == '(') return group();
  if (c == ')' && !groups_.empty()) {
    atom_ = groups_.back();
    groups_.pop_back();
  }
  out_ += c;
  ++at_;
  while (at_ < in_.size() && (static_cast<uint8_t>(in_[at_]) & 0xC0) == 0x80) out_ += in_[at_++];  // one character
}

void Translator::group() {
  groups_.push_back(out_.size());
  if (sees("(*")) refuse("(*");
  if (!sees("(?")) {
    out_ += in_[at_++];
    return;
  }
  size_t end = at_ + 2;
  for (const std::string_view known : {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"}) {
    if (!sees(known)) continue;
    out_ += known;
    at_ += known.size();
    return;
  }
  if (sees("(?<")) {  // a name
    while (end < in_.size() && in_[end] != '>') ++end;
    out_ += in_.substr(at_, end - at_);
    at_ = end;
    return;
  }
  std::string flags = "(?";
  for (; end < in_.size() && (in_[end] == 'i' || in_[end] == 'm' || in_[end] == 'x' || in_[end] == '-'); ++end) {
    flags += in_[end] == 'm' ? 's' : in_[end];  // Ruby's "multiline": a dot matches line ends too
  }
  if (end == in_.size() || (in_[end] != ':' && in_[end] != ')')) refuse(in_.substr(at_, end - at_ + 1));
  out_ += flags;
  if (in_[end] == ')') groups_.pop_back();
  out_ += in_[end];
  at_ = end + 1;
}

// {n,m} followed by + or {n} followed by ? is a quantifier of the quantified, not a possessive or lazy one.
void Translator::quantifier() {
  if (in_[at_] != '{') {
    out_ += in_[at_++];
    return;
  }
  size_t end = at_ + 1;
  bool comma = false;
  while (end < in_.size() && (std::isdigit(static_cast<uint8_t>(in_[end])) || in_[end] == ','))
    comma |= in_[end++] == ',';
  const bool counts = end < in_.size() && in_[end] == '}' && end > at_ + 1 && in_.substr(at_, end - at_) != "{,";
  if (!counts) {
    atom_ = out_.size();
    out_ += "\\{";
    ++at_;
    return;
  }
  const std::string_view bounds = in_.substr(at_ + 1, end - at_ - 1);
  out_ += (bounds.starts_with(',') ? "{0" : "{") + std::string(bounds) + "}";
  at_ = end + 1;
  if (at_ < in_.size() && (in_[at_] == '+' || (in_[at_] == '?' && !comma))) {
    out_.insert(atom_, "(?:");
    out_ += ')';
    out_ += in_[at_++];
  }
}

void Translator::set() {
  out_ += in_[at_++];
  if (sees("^")) out_ += in_[at_++];
  if (sees("]")) {
    out_ += "\\]";
    ++at_;
  }
  for (size_t nested = 0;;) {
    if (at_ >= in_.size()) refuse("a class without end");
    if (sees("&&")) refuse("an intersection of classes");
    if (in_[at_] == '[' && !sees("[:")) {  // the union with the outer one
      if (sees("[^")) refuse("a negated class inside a class");
      ++nested;
      ++at_;
    } else if (in_[at_] == ']') {
      ++at_;
      if (nested-- == 0) break;
    } else {
      set_member();
    }
  }
  out_ += ']';
}

void Translator::set_member() {
  if (in_[at_] == '\\') return escape(true);
  if (sees("[:")) {
    const size_t end = in_.find(":]", at_);
    const std::string_view name = end == in_.npos ? "" : in_.substr(at_ + 2, end - at_ - 2);
    const std::string_view inside = row_of(kPosix, name, "");
    if (inside.empty()) refuse(fmt::format("the class [:{}:]", printable(name)));
    at_ = end + 2;
    return members(inside, false, true);
  }
  out_ += in_[at_++];
}

// A set of characters, alone or as part of a class.
void Translator::members(std::string_view inside, bool negated, bool in_set) {
  if (!in_set) {
    out_ += fmt::format("[{}{}]", negated ? "^" : "", inside);
    return;
  }
  if (negated) refuse("a negated set inside a class");
  out_ += inside;
  if (sees("-") && !sees("-]")) {  // behind a set it begins no range
    out_ += "\\-";
    ++at_;
  }
}

void Translator::escape(bool in_set) {
  if (at_ + 1 >= in_.size()) refuse("a backslash at the end");
  const char c = in_[at_ + 1];
  if (c == 'p' || c == 'P') return property(in_set);
  if (c == 'u') return code_unit();
  at_ += 2;
  switch (c) {
    case 's':
      return members(kSpace, false, in_set);
    case 'S':
      return in_set ? members("\\P{White_Space}", false, true) : members(kSpace, true, false);
    case 'w':
    case 'W':
      return members(kWord, c == 'W', in_set);
    case 'h':
    case 'H':
      return members(kHexDigit, c == 'H', in_set);
    case 'd':
      return members("\\p{Nd}", false, in_set);
    case 'D':
      return members("\\P{Nd}", false, in_set);
    case 'v':
      out_ += "\\x0b";
      return;
    case 'b':
      out_ += in_set ? "\\x08" : fmt::format("(?:(?<=[{0}])(?![{0}])|(?<![{0}])(?=[{0}]))", kWord);
      return;
    case 'B':
      if (in_set) refuse("\\B");
      out_ += fmt::format("(?:(?<=[{0}])(?=[{0}])|(?<![{0}])(?![{0}]))", kWord);
      return;
    default:
      break;
  }
  constexpr std::string_view kAsTheyAre = "tnrfaexAzZRX0123456789";
  if (std::isalnum(static_cast<uint8_t>(c)) && kAsTheyAre.find(c) == kAsTheyAre.npos) {
    at_ -= 2;
    refuse(in_.substr(at_, 2));
  }
  if (static_cast<uint8_t>(c) < 0x80) out_ += '\\';
  out_ += c;
}

void Translator::property(bool in_set) {
  const size_t end = in_.find('}', at_);
  if (at_ + 2 >= in_.size() || in_[at_ + 2] != '{' || end == in_.npos) refuse("\\p without {name}");
  std::string_view name = in_.substr(at_ + 3, end - at_ - 3);
  const bool negated = (in_[at_ + 1] == 'P') != name.starts_with('^');
  if (name.starts_with('^')) name.remove_prefix(1);
  at_ = end + 1;
  members(fmt::format("\\{}{{{}}}", negated ? 'P' : 'p', row_of(kProperties, name, name)), false, in_set);
}

void Translator::code_unit() {
  const std::string_view digits = in_.substr(at_ + 2, 4);
  if (digits.size() != 4 || digits.find_first_not_of("0123456789abcdefABCDEF") != digits.npos) refuse("\\u");
  out_ += fmt::format("\\x{{{}}}", digits);
  at_ += 6;
}

}  // namespace

std::string pcre2_of_oniguruma(std::string_view pattern, const std::string& where) {
  if (pattern.size() > Limits::kPatternBytes) {
    bad_input(
        fmt::format("{}: a pattern of {} bytes exceeds the limit of {}", where, pattern.size(), Limits::kPatternBytes));
  }
  return Translator(pattern, where).translate();
}

std::string pcre2_of_literal(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    if (static_cast<uint8_t>(c) < 0x80 && !std::isalnum(static_cast<uint8_t>(c))) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

}  // namespace tern::hf
