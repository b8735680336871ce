// Filters on numbers and on values of any kind.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "text/jinja/filters.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"

namespace tern::jinja {
namespace {

constexpr int64_t kDecimals = 300;

Value fallback_to(Interpreter&, const Value& input, const Arguments& arguments) {
  const Bound bound(arguments, "default", {"default_value", "boolean"});
  const bool absent = input.is_undefined() || (bound.truth_or(1, false) && !input.truthy());
  if (!absent) return input;
  return bound.get(0) ? *bound.get(0) : Value::string("", true);
}

std::string number_text(const Value& input) {
  std::string text = strip(input.text(), Side::kBoth).text;
  std::erase(text, '_');
  if (text.starts_with('+')) text.erase(0, 1);
  return text;
}

std::optional<double> parse_real(const std::string& text) {
  double value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = result.ptr == text.data() + text.size() && !text.empty();
  if (whole && result.ec == std::errc()) return value;
  if (whole && result.ec == std::errc::result_out_of_range) return std::strtod(text.c_str(), nullptr);
  return std::nullopt;
}

std::optional<int64_t> whole_part(double value) {
  if (!(std::abs(value) < 9.2e18)) return std::nullopt;
  return static_cast<int64_t>(value);
}

Value to_whole(Interpreter&, const Value& input, const Arguments& arguments) {
  const Bound bound(arguments, "int", {"default", "base"});
  const Value fallback = bound.get(0) ? *bound.get(0) : Value::integer(0);
  if (input.is_undefined()) input.raise_undefined();
  if (input.is_whole()) return Value::integer(input.whole());
  std::optional<int64_t> result;
  if (input.is_float()) result = whole_part(input.real());
  if (input.is_string()) {
    std::string text = number_text(input);
    const int64_t base = bound.whole_or(1, 10);
    if (base < 2 || base > 36) raise("int(): a base of " + std::to_string(base));
    if (base == 16 && (text.starts_with("0x") || text.starts_with("0X"))) text.erase(0, 2);
    int64_t value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value, static_cast<int>(base));
    if (parsed.ec == std::errc() && parsed.ptr == text.data() + text.size()) {
      result = value;
    } else if (const auto real = parse_real(text)) {
      result = whole_part(*real);
    }
  }
  return result ? Value::integer(*result) : fallback;
}

Value to_real(Interpreter&, const Value& input, const Arguments& arguments) {
  const Bound bound(arguments, "float", {"default"});
  const Value fallback = bound.get(0) ? *bound.get(0) : Value::number(0.0);
  if (input.is_undefined()) input.raise_undefined();
  if (input.is_number()) return Value::number(input.real());
  const auto real = input.is_string() ? parse_real(number_text(input)) : std::nullopt;
  return real ? Value::number(*real) : fallback;
}

Value absolute(Interpreter&, const Value& input, const Arguments&) {
  if (input.is_undefined()) input.raise_undefined();
  if (!input.is_number()) raise("bad operand type for abs(): '" + std::string(input.type_name()) + "'");
  return input.real() < 0 ? negate(input) : input.is_boolean() ? Value::integer(input.whole()) : input;
}

Value rounded(Interpreter&, const Value& input, const Arguments& arguments) {
  const Bound bound(arguments, "round", {"precision", "method"});
  const std::string method = bound.get(1) ? bound.text(1).text : "common";
  const int64_t precision = std::clamp(bound.whole_or(0, 0), -kDecimals, kDecimals);
  if (input.is_undefined()) input.raise_undefined();
  if (!input.is_number()) raise("type " + std::string(input.type_name()) + " cannot be rounded");
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (method == "ceil") return Value::number(std::ceil(input.real() * scale) / scale);
  if (method == "floor") return Value::number(std::floor(input.real() * scale) / scale);
  if (method != "common") raise("method must be common, ceil or floor");
  if (input.is_whole() && precision >= 0) return Value::integer(input.whole());
  if (input.is_whole()) return Value::integer(whole_part(std::nearbyint(input.real() * scale) / scale).value_or(0));
  if (precision < 0) return Value::number(std::nearbyint(input.real() * scale) / scale);
  if (!std::isfinite(input.real())) return input;
  char text[700];  // 309 digits before the point and 300 behind it, correctly rounded by the library
  std::snprintf(text, sizeof text, "%.*f", static_cast<int>(precision), input.real());
  return Value::number(std::strtod(text, nullptr));
}

Value to_json(Interpreter& in, const Value& input, const Arguments& arguments) {
  const Bound bound(arguments, "tojson", {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = bound.truth_or(0, false);
  style.sort_keys = bound.truth_or(3, false);
  if (bound.get(1) && !bound.get(1)->is_none()) {
    style.indent =
        bound.get(1)->is_string() ? bound.text(1) : repeat(in.budget(), MarkedText(" ", false), bound.whole_or(1, 0));
    style.item_separator = MarkedText(",", false);
  }
  if (bound.get(2) && !bound.get(2)->is_none()) {
    const auto separators = elements(in.budget(), *bound.get(2));
    if (separators->items.size() != 2 || !separators->items[0].is_string() || !separators->items[1].is_string()) {
      raise("tojson(): separators are two strings");
    }
    style.item_separator = separators->items[0].text();
    style.key_separator = separators->items[1].text();
  }
  MarkedText out = print_json(in.budget(), input, style);
  in.budget().spend_bytes(out.size());
  return Value::string(std::move(out));
}

Value attribute(Interpreter& in, const Value& input, const Arguments& arguments) {
  const Bound bound(arguments, "attr", {"name"});
  if (input.is_undefined()) input.raise_undefined();
  // Attributes only, never keys: a dictionary has its methods.
  bool hidden = false;
  const auto method = input.is_object() ? nullptr : find_method(input, bound.text(0).text, hidden);
  if (method) return Value::object(std::make_shared<BoundMethod>(input, method));
  if (input.is_object()) return in.attribute(input, bound.text(0).text);
  return Value::undefined("no attribute '" + bound.text(0).text + "'");
}

Value file_size(Interpreter&, const Value& input, const Arguments& arguments) {
  const Bound bound(arguments, "filesizeformat", {"binary"});
  if (!input.is_number()) raise("filesizeformat needs a number, not " + std::string(input.type_name()));
  const bool binary = bound.truth_or(0, false);
  const double bytes = input.real(), base = binary ? 1024 : 1000;
  if (bytes == 1) return Value::string("1 Byte", false);
  char text[64];
  if (bytes < base) {
    std::snprintf(text, sizeof text, "%d Bytes", static_cast<int>(bytes));
    return Value::string(text, false);
  }
  constexpr std::array kUnits{"k", "M", "G", "T", "P", "E", "Z", "Y"};
  double unit = base;
  size_t i = 0;
  while (i + 1 < kUnits.size() && bytes >= unit * base) {
    unit *= base;
    ++i;
  }
  const std::string name =
      binary ? std::string(1, kUnits[i][0] == 'k' ? 'K' : kUnits[i][0]) + "iB" : std::string(kUnits[i]) + "B";
  std::snprintf(text, sizeof text, "%.1f %s", bytes / unit, name.c_str());
  return Value::string(text, false);
}

constexpr std::array kRows{
    FilterRow{"default", fallback_to}, FilterRow{"d", fallback_to},  FilterRow{"int", to_whole},
    FilterRow{"float", to_real},       FilterRow{"abs", absolute},   FilterRow{"round", rounded},
    FilterRow{"tojson", to_json},      FilterRow{"attr", attribute}, FilterRow{"filesizeformat", file_size},
};

}  // namespace

std::span<const FilterRow> value_filters() { return kRows; }

}  // namespace tern::jinja
