#include "text/jinja/print.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "text/jinja/strings.h"
#include "text/utf8.h"

namespace tern::jinja {
namespace {

std::string hex_escape(const char* format, uint32_t value) {
  char text[16];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

class Printer {
 public:
  explicit Printer(Budget& budget) : budget_(budget) {}

  MarkedText take() { return std::move(out_); }

 protected:
  void put(std::string_view bytes) {
    out_.append(bytes, false);
    check();
  }
  void put(const MarkedText& text, size_t at, size_t count) { out_.append(text, at, count); }
  void check() {
    if (out_.size() > Limits::kTemplateOutputBytes) budget_.spend_bytes(out_.size());
  }
  Budget& budget_;
  MarkedText out_;
};

class ReprPrinter : public Printer {
 public:
  using Printer::Printer;

  void value(const Value& v) {
    budget_.spend(1);
    if (v.is_string()) {
      string(v.text());
    } else if (v.is_list()) {
      list(v.list());
    } else if (v.is_dict()) {
      dict(v.dict());
    } else {
      put(scalar(v));
    }
  }

  static std::string scalar(const Value& v) {
    if (v.is_none()) return "None";
    if (v.is_boolean()) return v.truth_of_boolean() ? "True" : "False";
    if (v.is_integer()) return std::to_string(v.whole());
    if (v.is_float()) return print_float(v.real());
    if (v.is_undefined()) return "Undefined";
    return "<" + std::string(v.type_name()) + ">";
  }

 private:
  void list(const List& list) {
    const bool tuple = list.kind == List::Kind::kTuple;
    if (list.kind == List::Kind::kView) put("dict_view(");
    put(tuple ? "(" : "[");
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) put(", ");
      value(list.items[i]);
    }
    if (tuple && list.items.size() == 1) put(",");
    put(tuple ? ")" : "]");
    if (list.kind == List::Kind::kView) put(")");
  }

  void dict(const Dict& dict) {
    put("{");
    bool first = true;
    for (const auto& [key, item] : dict.entries()) {
      if (!first) put(", ");
      first = false;
      value(key);
      put(": ");
      value(item);
    }
    put("}");
  }

  void string(const MarkedText& text) {
    budget_.spend_bytes(text.size());
    const bool has_single = text.text.find('\'') != std::string::npos;
    const char quote = has_single && text.text.find('"') == std::string::npos ? '"' : '\'';
    put(std::string_view(&quote, 1));
    for (size_t at = 0; at < text.size();) {
      const CodePoint point = code_point_at(text.text, at);
      const bool valid = point.status == Utf8Status::kValid;
      const uint32_t bytes = valid ? point.bytes : 1;
      if (valid && is_printable(point.value) && point.value != '\\' && point.value != static_cast<char32_t>(quote)) {
        put(text, at, bytes);
      } else {
        put(valid ? escaped(point.value) : hex_escape("\\udc%02x", static_cast<uint8_t>(text.text[at])));
      }
      at += bytes;
    }
    put(std::string_view(&quote, 1));
  }

  static std::string escaped(char32_t point) {
    switch (point) {
      case '\\':
        return "\\\\";
      case '\'':
        return "\\'";
      case '"':
        return "\\\"";
      case '\n':
        return "\\n";
      case '\r':
        return "\\r";
      case '\t':
        return "\\t";
      default:
        break;
    }
    return hex_escape(point < 0x100 ? "\\x%02x" : point < 0x10000 ? "\\u%04x" : "\\U%08x", point);
  }
};

class JsonPrinter : public Printer {
 public:
  JsonPrinter(Budget& budget, const JsonStyle& style) : Printer(budget), style_(style) {}

  void value(const Value& v) {
    budget_.spend(1);
    if (v.is_string()) {
      string(v.text());
    } else if (v.is_list() && v.list().kind <= List::Kind::kTuple) {
      list(v.list());
    } else if (v.is_dict()) {
      dict(v.dict());
    } else {
      put(scalar(v));
    }
  }

 private:
  static std::string scalar(const Value& v) {
    if (v.is_none()) return "null";
    if (v.is_boolean()) return v.truth_of_boolean() ? "true" : "false";
    if (v.is_integer()) return std::to_string(v.whole());
    if (!v.is_float()) raise("Object of type " + std::string(v.type_name()) + " is not JSON serializable");
    if (std::isnan(v.real())) return "NaN";
    if (std::isinf(v.real())) return v.real() < 0 ? "-Infinity" : "Infinity";
    return print_float(v.real());
  }

  void new_line() {
    if (!style_.indent) return;
    put("\n");
    for (uint32_t i = 0; i < level_; ++i) put(*style_.indent, 0, style_.indent->size());
    check();
  }

  void list(const List& list) {
    if (list.items.empty()) return put("[]");
    put("[");
    ++level_;
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) put(style_.item_separator, 0, style_.item_separator.size());
      new_line();
      value(list.items[i]);
    }
    --level_;
    new_line();
    put("]");
  }

  void dict(const Dict& dict) {
    if (dict.entries().empty()) return put("{}");
    std::vector<const Dict::Entry*> entries;
    budget_.spend_elements(dict.entries().size());
    for (const auto& entry : dict.entries()) entries.push_back(&entry);
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(),
                       [&](auto* a, auto* b) { return compare(budget_, a->first, b->first) < 0; });
    }
    put("{");
    ++level_;
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) put(style_.item_separator, 0, style_.item_separator.size());
      new_line();
      key(entries[i]->first);
      put(style_.key_separator, 0, style_.key_separator.size());
      value(entries[i]->second);
    }
    --level_;
    new_line();
    put("}");
  }

  void key(const Value& key) { string(key.is_string() ? key.text() : MarkedText(scalar(key), false)); }

  void string(const MarkedText& text) {
    budget_.spend_bytes(text.size());
    put("\"");
    for (size_t at = 0; at < text.size();) {
      const CodePoint point = code_point_at(text.text, at);
      const bool valid = point.status == Utf8Status::kValid;
      const char32_t c = valid ? point.value : 0xFFFD;
      const uint32_t bytes = valid ? point.bytes : 1;
      if (c < 0x20 || c == '"' || c == '\\' || (style_.ensure_ascii && c > 0x7E)) {
        put(escaped(c));
      } else {
        put(text, at, bytes);
      }
      at += bytes;
    }
    put("\"");
  }

  static std::string escaped(char32_t point) {
    switch (point) {
      case '"':
        return "\\\"";
      case '\\':
        return "\\\\";
      case '\n':
        return "\\n";
      case '\r':
        return "\\r";
      case '\t':
        return "\\t";
      case '\b':
        return "\\b";
      case '\f':
        return "\\f";
      default:
        break;
    }
    if (point < 0x10000) return hex_escape("\\u%04x", point);
    return hex_escape("\\u%04x", 0xD800 + ((point - 0x10000) >> 10)) + hex_escape("\\u%04x", 0xDC00 + (point & 0x3FF));
  }

  const JsonStyle& style_;
  uint32_t level_ = 0;
};

}  // namespace

std::string print_float(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::scientific).ptr;
  const std::string_view shortest(text, static_cast<size_t>(end - text));
  const size_t e = shortest.find('e');
  const bool negative = shortest[0] == '-';
  std::string digits;
  for (const char c : shortest.substr(0, e)) {
    if (c >= '0' && c <= '9') digits.push_back(c);
  }
  int exponent = 0;
  const size_t sign = e + 1;
  std::from_chars(text + sign + (text[sign] == '+' ? 1 : 0), end, exponent);
  std::string out = negative ? "-" : "";
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (count > 1) out += "." + digits.substr(1);
    const int size = std::abs(exponent);
    return out + (exponent < 0 ? "e-" : "e+") + (size < 10 ? "0" : "") + std::to_string(size);
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (count <= exponent + 1) return out + digits + std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  return out + digits.substr(0, static_cast<size_t>(exponent) + 1) + "." +
         digits.substr(static_cast<size_t>(exponent) + 1);
}

MarkedText print_repr(Budget& budget, const Value& value) {
  ReprPrinter printer(budget);
  printer.value(value);
  return printer.take();
}

MarkedText print_text(Budget& budget, const Value& value) {
  if (value.is_string()) return value.text();
  if (value.is_undefined()) return {};
  return print_repr(budget, value);
}

MarkedText print_json(Budget& budget, const Value& value, const JsonStyle& style) {
  JsonPrinter printer(budget, style);
  printer.value(value);
  return printer.take();
}

}  // namespace tern::jinja
