#include "text/jinja/json.h"

#include <fmt/core.h>

#include <charconv>

#include "core/error.h"
#include "text/utf8.h"

namespace tern::jinja {
namespace {

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Value document() {
    Value value = any(0);
    skip_space();
    if (at_ != text_.size()) refuse("text after the document");
    return value;
  }

 private:
  [[noreturn]] void refuse(std::string_view reason) { bad_input(fmt::format("[json] at byte {}: {}", at_, reason)); }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_space() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') ++at_;
  }
  bool take(char c) {
    skip_space();
    if (peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  Value literal(std::string_view word, Value value) {
    if (text_.substr(at_, word.size()) != word) refuse("not a JSON value");
    at_ += word.size();
    return value;
  }

  Value any(uint64_t depth) {
    // One level less than values may nest, so that the list around the messages fits too.
    if (depth + 1 > Limits::kJsonDepth) refuse(fmt::format("nested more than {} deep", Limits::kJsonDepth));
    skip_space();
    switch (peek()) {
      case '{':
        return object(depth);
      case '[':
        return array(depth);
      case '"':
        return Value::string(string(), false);
      case 't':
        return literal("true", Value::boolean(true));
      case 'f':
        return literal("false", Value::boolean(false));
      case 'n':
        return literal("null", Value::none());
      default:
        return number();
    }
  }

  Value object(uint64_t depth) {
    ++at_;
    Dict dict;
    if (take('}')) return Value::dict(std::move(dict));
    while (true) {
      skip_space();
      if (peek() != '"') refuse("a key is missing");
      Value key = Value::string(string(), false);
      if (!take(':')) refuse("':' is missing");
      dict.set(std::move(key), any(depth + 1));
      if (take('}')) return Value::dict(std::move(dict));
      if (!take(',')) refuse("',' or '}' is missing");
    }
  }

  Value array(uint64_t depth) {
    ++at_;
    std::vector<Value> items;
    if (take(']')) return Value::list(std::move(items));
    while (true) {
      items.push_back(any(depth + 1));
      if (take(']')) return Value::list(std::move(items));
      if (!take(',')) refuse("',' or ']' is missing");
    }
  }

  void digits() {
    if (peek() < '0' || peek() > '9') refuse("not a JSON value");
    while (peek() >= '0' && peek() <= '9') ++at_;
  }

  Value number() {
    const size_t begin = at_;
    bool real = false;
    if (peek() == '-') ++at_;
    const bool zero = peek() == '0';
    const size_t first = at_;
    digits();
    if (zero && at_ > first + 1) refuse("a number begins with 0");
    if (peek() == '.') {
      real = true;
      ++at_;
      digits();
    }
    if (peek() == 'e' || peek() == 'E') {
      real = true;
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      digits();
    }
    const std::string text(text_.substr(begin, at_ - begin));
    int64_t whole = 0;
    if (!real && std::from_chars(text.data(), text.data() + text.size(), whole).ec == std::errc()) {
      return Value::integer(whole);
    }
    return Value::number(std::strtod(text.c_str(), nullptr));
  }

  std::string string() {
    ++at_;
    std::string out;
    while (true) {
      if (at_ == text_.size()) refuse("a string has no end");
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return out;
      }
      if (static_cast<unsigned char>(c) < 0x20) refuse("a control character in a string");
      if (c == '\\') {
        ++at_;
        escape(out);
        continue;
      }
      const CodePoint point = code_point_at(text_, at_);
      if (point.status != Utf8Status::kValid) refuse("invalid UTF-8");
      out.append(text_, at_, point.bytes);
      at_ += point.bytes;
    }
  }

  void escape(std::string& out) {
    constexpr std::string_view kLetters = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
    const char c = peek();
    ++at_;
    if (const size_t known = kLetters.find(c); known != std::string_view::npos && at_ <= text_.size()) {
      out.push_back(kMeanings[known]);
      return;
    }
    if (c != 'u') refuse("an unknown escape");
    char32_t value = unit();
    if (value >= 0xD800 && value < 0xDC00) {
      if (text_.substr(at_, 2) != "\\u") refuse("a lone surrogate");
      at_ += 2;
      const char32_t low = unit();
      if (low < 0xDC00 || low > 0xDFFF) refuse("a lone surrogate");
      value = 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
    } else if (value >= 0xDC00 && value < 0xE000) {
      refuse("a lone surrogate");
    }
    append_utf8(out, value);
  }

  char32_t unit() {
    uint32_t value = 0;
    const std::string_view hex = text_.substr(std::min(at_, text_.size()), 4);
    const auto result = std::from_chars(hex.data(), hex.data() + hex.size(), value, 16);
    if (hex.size() != 4 || result.ptr != hex.data() + 4 || hex[0] == '-') refuse("four digits are missing after \\u");
    at_ += 4;
    return value;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

Value value_from_json(std::string_view json_text) {
  if (json_text.size() > Limits::kRequestBodyBytes) {
    bad_input(fmt::format("[json] {} bytes, more than {}", json_text.size(), Limits::kRequestBodyBytes));
  }
  try {
    return Reader(json_text).document();
  } catch (const Failure& failure) {
    bad_input("[json] " + failure.message);
  }
}

}  // namespace tern::jinja
