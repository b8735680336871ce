#include "server/json_body.h"

#include <fmt/core.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/limits.h"
#include "server/api_error.h"
#include "text/utf8.h"

namespace tern {
namespace {

using nlohmann::json;

constexpr int kDepth = static_cast<int>(Limits::kBodyDepth);

std::string described(const json& value) {
  switch (value.type()) {
    case json::value_t::boolean:
      return "a boolean";
    case json::value_t::string:
      return "a string";
    case json::value_t::array:
      return "a list";
    case json::value_t::object:
      return "an object";
    case json::value_t::null:
      return "null";
    default:
      return value.dump();
  }
}

size_t code_points(std::string_view text) {
  size_t count = 0;
  for (const char c : text) count += (c & 0xc0) != 0x80 ? 1 : 0;
  return count;
}

// What the row's bounds are about: a number, a string's characters, a list's or object's entries.
double measure(const json& value) {
  if (value.is_number()) return value.get<double>();
  if (value.is_string()) return static_cast<double>(code_points(value.get_ref<const std::string&>()));
  return static_cast<double>(value.size());
}

void check_range(const RequestField& field, const json& value, std::string_view what) {
  const double size = measure(value);
  if (size >= field.min && size <= field.max) return;
  const std::string found = value.is_number() ? value.dump() : fmt::format("{}", size);
  refuse(std::string(field.name), fmt::format("'{}' must be {} {} to {}, not {}", field.name, what,
                                              bound_text(field.min), bound_text(field.max), found));
}

void make_whole(json& value) {
  constexpr double kExact = 9007199254740992.0;  // 2^53: beyond it a double is no particular integer
  if (!value.is_number_float()) return;
  const double number = value.get<double>();
  if (number == std::floor(number) && std::abs(number) <= kExact) value = static_cast<int64_t>(number);
}

}  // namespace

std::string bound_text(double bound) {
  if (bound != std::floor(bound)) return fmt::format("{}", bound);
  if (bound >= 18446744073709551615.0) return "18446744073709551615";
  return fmt::format("{:.0f}", bound);
}

void refuse_type(const std::string& param, const std::string& wanted, const json& value) {
  refuse(param, fmt::format("'{}' must be {}, not {}", param, wanted, described(value)), "invalid_type");
}

void check_field(const RequestField& field, json& value) {
  const std::string name(field.name);
  switch (field.type) {
    case FieldType::kSeveral:
      return;
    case FieldType::kBoolean:
      if (!value.is_boolean()) refuse_type(name, "true or false", value);
      return;
    case FieldType::kInteger:
      make_whole(value);
      if (!value.is_number_integer()) refuse_type(name, "an integer", value);
      return check_range(field, value, "an integer from");
    case FieldType::kNumber:
      if (!value.is_number()) refuse_type(name, "a number", value);
      return check_range(field, value, "a number from");
    case FieldType::kString:
      if (!value.is_string()) refuse_type(name, "a string", value);
      return check_range(field, value, "a string with a length in characters from");
    case FieldType::kList:
      if (!value.is_array()) refuse_type(name, "a list", value);
      return check_range(field, value, "a list with a length from");
    case FieldType::kObject:
      if (!value.is_object()) refuse_type(name, "an object", value);
      return check_range(field, value, "an object with a number of entries from");
  }
}

json parse_body(std::string_view body) {
  uint64_t values = 0;
  const auto bounded = [&](int depth, json::parse_event_t, json&) {
    if (depth >= kDepth) refuse("", fmt::format("the body nests more than {} levels", kDepth), "invalid_json");
    if (++values > Limits::kJsonValues) {
      refuse("", fmt::format("the body holds more than {} values", Limits::kJsonValues), "invalid_json");
    }
    return true;
  };
  if (valid_utf8_length(body, 0) != body.size()) {
    refuse("", fmt::format("the body is not UTF-8: byte {}", valid_utf8_length(body, 0)), "invalid_json");
  }
  try {
    json root = json::parse(body, bounded);
    if (!root.is_object()) refuse("", "the body must be a JSON object, not " + described(root), "invalid_json");
    return root;
  } catch (const json::parse_error& error) {
    refuse("", fmt::format("the body is not valid JSON: byte {}", error.byte), "invalid_json");
  } catch (const json::exception&) {
    refuse("", "the body holds a number that no double holds", "invalid_json");
  }
}

}  // namespace tern
