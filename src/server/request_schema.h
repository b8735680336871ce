// The table of request fields as JSON Schema (2020-12, as OpenAPI 3.1 takes it). Pure functions; any thread.
//
// Exactly what the parser accepts, but for what a schema cannot say: fields that need others, and limits in tokens.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "core/limits.h"
#include "server/request_fields.h"

namespace tern {

// What a schema says of this server.
struct ApiFacts {
  std::vector<std::string> models;  // that are served
  int64_t vocabulary = static_cast<int64_t>(Limits::kVocabulary);
  int64_t least_prompt = 0;  // characters of a text that makes a token: 0 where the model's file adds some
};

// A stop string's length in characters; kStopStringBytes holds it whatever they are.
inline constexpr double kStopCharacters = Limits::kStopStringBytes / 4;

nlohmann::json field_schema(const RequestField& field, const ApiFacts& facts);
// The body that the endpoint takes.
nlohmann::json body_schema(Endpoints endpoint, const ApiFacts& facts);
// Message, for components.schemas.
nlohmann::json message_schema();

// Of single fields.
nlohmann::json model_schema(const ApiFacts& facts);
nlohmann::json messages_schema(const ApiFacts& facts);
nlohmann::json prompt_schema(const ApiFacts& facts);
nlohmann::json token_ids_schema(const ApiFacts& facts);
nlohmann::json stop_schema(const ApiFacts& facts);
nlohmann::json stream_options_schema(const ApiFacts& facts);
nlohmann::json logit_bias_schema(const ApiFacts& facts);
nlohmann::json tools_schema(const ApiFacts& facts);
nlohmann::json tool_choice_schema(const ApiFacts& facts);
nlohmann::json response_format_schema(const ApiFacts& facts);
nlohmann::json echo_schema(const ApiFacts& facts);

}  // namespace tern
