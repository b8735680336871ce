#include "formats/json_value.h"

#include <fmt/core.h>

#include <algorithm>

#include "core/error.h"
#include "core/limits.h"

namespace tern {

template <typename T>
const T& JsonNode::as(std::string_view wanted) const {
  const T* typed = std::get_if<T>(&value_->value);
  if (typed == nullptr) refuse(fmt::format("is not {}", wanted));
  return *typed;
}

const std::string& JsonNode::string() const { return as<std::string>("a string"); }

bool JsonNode::boolean() const { return as<bool>("a boolean"); }

int64_t JsonNode::integer(int64_t min, int64_t max) const {
  const int64_t value = as<int64_t>("an integer");
  if (value < min || value > max) refuse(fmt::format("is {}, not {} to {}", value, min, max));
  return value;
}

double JsonNode::number() const {
  if (const auto* whole = std::get_if<int64_t>(&value_->value)) return static_cast<double>(*whole);
  return as<double>("a number");
}

std::vector<JsonNode> JsonNode::items() const {
  const auto& items = as<JsonValue::Array>("an array").items;
  std::vector<JsonNode> nodes;
  nodes.reserve(items.size());
  for (size_t i = 0; i < items.size(); ++i) nodes.push_back({items[i], *source_, fmt::format("{}[{}]", path_, i)});
  return nodes;
}

std::vector<std::string> JsonNode::keys() const { return as<JsonValue::Object>("an object").keys; }

std::optional<JsonNode> JsonNode::find(std::string_view key) const {
  const auto& object = as<JsonValue::Object>("an object");
  for (size_t i = object.keys.size(); i-- > 0;) {
    if (object.keys[i] != key) continue;
    if (std::holds_alternative<std::monostate>(object.items[i].value)) return std::nullopt;
    return JsonNode(object.items[i], *source_, (path_.empty() ? "" : path_ + ".") + printable(key));
  }
  return std::nullopt;
}

JsonNode JsonNode::at(std::string_view key) const {
  auto found = find(key);
  if (!found) refuse(fmt::format("has no {}", key));
  return *found;
}

std::string JsonNode::string_or(std::string_view key, std::string_view fallback) const {
  const auto found = find(key);
  return found ? found->string() : std::string(fallback);
}

bool JsonNode::boolean_or(std::string_view key, bool fallback) const {
  const auto found = find(key);
  return found ? found->boolean() : fallback;
}

std::string JsonNode::where() const { return fmt::format("{}: {}", *source_, path_.empty() ? "the document" : path_); }

void JsonNode::refuse(std::string_view reason) const { bad_input(fmt::format("{} {}", where(), reason)); }

void JsonTreeBuilder::key(std::string_view value) {
  std::get<JsonValue::Object>(open_.back().value).keys.emplace_back(value);
}

void JsonTreeBuilder::add(JsonValue value) {
  if (++values_ > Limits::kTokenizerValues) {
    bad_input(fmt::format("{}: more than {} values", source_, Limits::kTokenizerValues));
  }
  if (open_.empty()) {
    root_ = std::move(value);
  } else if (auto* array = std::get_if<JsonValue::Array>(&open_.back().value)) {
    array->items.push_back(std::move(value));
  } else {
    std::get<JsonValue::Object>(open_.back().value).items.push_back(std::move(value));
  }
}

void JsonTreeBuilder::begin(JsonValue value) { open_.push_back(std::move(value)); }

void JsonTreeBuilder::end() {
  JsonValue whole = std::move(open_.back());
  open_.pop_back();
  add(std::move(whole));
}

JsonValue parse_json_tree(std::span<const std::byte> text, const std::string& source) {
  JsonTreeBuilder builder(source);
  parse_json(text, source, builder);
  return builder.take();
}

}  // namespace tern
