#include "server/request_schema.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace tern {
namespace {

using nlohmann::json;

// A bound of the table as the number that it is: a double holds neither end of 64 bits exactly.
json bound(double value) {
  if (value != std::floor(value)) return value;
  if (value >= 18446744073709551615.0) return std::numeric_limits<uint64_t>::max();
  return static_cast<int64_t>(value);
}

const char* type_name(FieldType type) {
  switch (type) {
    case FieldType::kBoolean:
      return "boolean";
    case FieldType::kInteger:
      return "integer";
    case FieldType::kNumber:
      return "number";
    case FieldType::kString:
      return "string";
    case FieldType::kList:
      return "array";
    default:
      return "object";
  }
}

// Type and range as the row says.
json row_schema(const RequestField& field) {
  json schema;
  if (field.type == FieldType::kSeveral) return json::object();
  schema["type"] = type_name(field.type);
  const auto range = [&](const char* least, const char* most) {
    if (field.min > 0 || field.type == FieldType::kInteger || field.type == FieldType::kNumber) {
      schema[least] = bound(field.min);
    }
    schema[most] = bound(field.max);
  };
  if (field.type == FieldType::kInteger || field.type == FieldType::kNumber) range("minimum", "maximum");
  if (field.type == FieldType::kString) range("minLength", "maxLength");
  if (field.type == FieldType::kList) range("minItems", "maxItems");
  if (field.type == FieldType::kObject) range("minProperties", "maxProperties");
  return schema;
}

json token_id_schema(const ApiFacts& facts) {
  return {{"type", "integer"}, {"minimum", 0}, {"maximum", facts.vocabulary - 1}};
}

// null counts as absent.
void allow_null(json& schema) {
  if (schema.contains("anyOf")) schema["anyOf"].push_back({{"type", "null"}});
  if (schema.contains("enum")) schema["enum"].push_back(nullptr);
  if (schema.contains("type")) schema["type"] = {schema["type"], "null"};
}

json flag_schema(const char* description) {
  return {{"type", {"boolean", "null"}}, {"default", false}, {"description", description}};
}

json text_parts_schema() {
  return {{"type", "array"},
          {"items",
           {{"type", "object"},
            {"required", {"type", "text"}},
            {"properties", {{"type", {{"enum", {"text"}}}}, {"text", {{"type", "string"}}}}}}}};
}

json tool_calls_schema() { return {{"type", {"array", "null"}}, {"items", {{"type", "object"}}}}; }

}  // namespace

json field_schema(const RequestField& field, const ApiFacts& facts) {
  json schema = row_schema(field);
  if (field.schema != nullptr) schema.update(field.schema(facts));
  if (field.fallback != kRequired) allow_null(schema);
  schema["description"] = field.meaning;
  const json fallback = json::parse(field.fallback, nullptr, false);
  if (!fallback.is_discarded()) {
    schema["default"] = fallback;
  } else if (field.fallback != kRequired && field.fallback != "none") {
    schema["description"] = std::string(field.meaning) + " (default: " + std::string(field.fallback) + ")";
  }
  return schema;
}

json body_schema(Endpoints endpoint, const ApiFacts& facts) {
  json properties = json::object(), required = json::array();
  for (const RequestField& field : request_fields()) {
    if ((field.endpoints & endpoint) == 0) continue;
    properties[std::string(field.name)] = field_schema(field, facts);
    if (field.fallback == kRequired) required.push_back(field.name);
  }
  json schema = {{"type", "object"}, {"properties", std::move(properties)}};
  if (!required.empty()) schema["required"] = std::move(required);
  if (endpoint == kTokenize) {
    const auto only = [](const char* given, const char* type, const char* absent) {
      return json{{"required", {given}}, {"properties", {{given, {{"type", type}}}, {absent, {{"type", "null"}}}}}};
    };
    schema["anyOf"] = {only("prompt", "string", "messages"), only("messages", "array", "prompt")};
  }
  return schema;
}

json message_schema() {
  const json text = {{"anyOf", {{{"type", "string"}}, text_parts_schema()}}};
  json optional_text = text;
  allow_null(optional_text);
  const json others = {
      {"type", "object"},
      {"required", {"role", "content"}},
      {"properties", {{"role", {{"enum", {"system", "developer", "user", "tool", "function"}}}}, {"content", text}}}};
  const json assistant = {
      {"type", "object"},
      {"required", {"role"}},
      {"properties",
       {{"role", {{"enum", {"assistant"}}}}, {"content", optional_text}, {"tool_calls", tool_calls_schema()}}}};
  return {{"anyOf", {others, assistant}}, {"description", "one message of a conversation"}};
}

json messages_schema(const ApiFacts&) { return {{"items", {{"$ref", "#/components/schemas/Message"}}}}; }

json model_schema(const ApiFacts& facts) { return {{"enum", facts.models}}; }

json prompt_schema(const ApiFacts& facts) {
  const json ids = {{"type", "array"}, {"items", token_id_schema(facts)}, {"minItems", 1}};
  const auto several = [](json items) {
    return json{{"type", "array"}, {"items", std::move(items)}, {"minItems", 1}, {"maxItems", Limits::kChoices}};
  };
  json text = {{"type", "string"}};
  if (facts.least_prompt > 0) text["minLength"] = facts.least_prompt;
  return {{"anyOf", {text, ids, several(text), several(ids)}}};
}

json token_ids_schema(const ApiFacts& facts) { return {{"items", token_id_schema(facts)}}; }

json stop_schema(const ApiFacts&) {
  const json one = {{"type", "string"}, {"minLength", 1}, {"maxLength", static_cast<int>(kStopCharacters)}};
  return {{"anyOf", {one, {{"type", "array"}, {"items", one}, {"maxItems", Limits::kStopStrings}}}}};
}

json stream_options_schema(const ApiFacts&) {
  return {{"properties",
           {{"include_usage", flag_schema("a last event that counts tokens")},
            {"continuous_usage_stats", flag_schema("every event counts the tokens so far")}}}};
}

json logit_bias_schema(const ApiFacts&) {
  return {{"propertyNames", {{"pattern", "^(0|[1-9][0-9]{0,5})$"}}},
          {"additionalProperties", {{"type", "number"}, {"minimum", -100}, {"maximum", 100}}}};
}

json tools_schema(const ApiFacts&) { return {{"items", {{"type", "object"}}}}; }

json tool_choice_schema(const ApiFacts&) { return {{"enum", {"auto", "none"}}}; }

json response_format_schema(const ApiFacts&) {
  return {{"required", {"type"}}, {"properties", {{"type", {{"enum", {"text"}}}}}}};
}

json echo_schema(const ApiFacts&) { return {{"enum", json::array({false})}}; }

}  // namespace tern
