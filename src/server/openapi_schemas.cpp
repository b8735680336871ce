#include "server/openapi_schemas.h"

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

namespace tern {
namespace {

using nlohmann::json;

const json kString = {{"type", "string"}};
const json kCount = {{"type", "integer"}, {"minimum", 0}};
const json kNumber = {{"type", "number"}};

json one_of(std::initializer_list<const char*> words) {
  json out;
  for (const char* word : words) out["enum"].push_back(word);
  return out;
}

json reference(const char* name) { return {{"$ref", std::string("#/components/schemas/") + name}}; }

json list_of(json items) { return {{"type", "array"}, {"items", std::move(items)}}; }

json or_null(json schema) { return {{"anyOf", {std::move(schema), {{"type", "null"}}}}}; }

// Every property is there; others than these are not.
json object(std::initializer_list<std::pair<const char*, json>> properties,
            std::initializer_list<std::pair<const char*, json>> optional = {}) {
  json out = {{"type", "object"}, {"required", json::array()}, {"additionalProperties", false}};
  for (const auto& [name, schema] : properties) {
    out["properties"][name] = schema;
    out["required"].push_back(name);
  }
  for (const auto& [name, schema] : optional) out["properties"][name] = schema;
  return out;
}

json finish_reason() { return one_of({"stop", "length"}); }

json usage() {
  return object({{"prompt_tokens", kCount},
                 {"completion_tokens", kCount},
                 {"total_tokens", kCount},
                 {"prompt_tokens_details", object({{"cached_tokens", kCount}})},
                 {"completion_tokens_details", object({{"reasoning_tokens", kCount}})},
                 {"energy_joules", or_null(kNumber)}});
}

json chat_logprobs() {
  const json bytes = list_of({{"type", "integer"}, {"minimum", 0}, {"maximum", 255}});
  const json top = object({{"token", kString}, {"logprob", kNumber}, {"bytes", bytes}});
  const json token =
      object({{"token", kString}, {"logprob", kNumber}, {"bytes", bytes}, {"top_logprobs", list_of(top)}});
  return object({{"content", list_of(token)}});
}

json completion_logprobs() {
  const json top = {{"type", "object"}, {"additionalProperties", kNumber}};
  return object({{"tokens", list_of(kString)},
                 {"token_logprobs", list_of(kNumber)},
                 {"top_logprobs", list_of(top)},
                 {"text_offset", list_of(kCount)}});
}

// A whole answer or a chunk of one.
json answer(const char* kind, json choice, bool chunk) {
  std::initializer_list<std::pair<const char*, json>> none = {};
  json out = object({{"id", kString},
                     {"object", one_of({kind})},
                     {"created", kCount},
                     {"model", kString},
                     {"choices", list_of(std::move(choice))}},
                    none);
  out["properties"]["usage"] = chunk ? or_null(reference("Usage")) : reference("Usage");
  if (!chunk) out["required"].push_back("usage");
  return out;
}

json chat_choice() {
  const json message = object({{"role", one_of({"assistant"})}, {"content", kString}});
  return object({{"index", kCount},
                 {"message", message},
                 {"logprobs", or_null(chat_logprobs())},
                 {"finish_reason", finish_reason()}});
}

json chat_chunk_choice() {
  const json delta = object({}, {{"role", one_of({"assistant"})}, {"content", kString}});
  return object({{"index", kCount},
                 {"delta", delta},
                 {"logprobs", or_null(chat_logprobs())},
                 {"finish_reason", or_null(finish_reason())}});
}

json completion_choice(bool chunk) {
  return object({{"index", kCount},
                 {"text", kString},
                 {"logprobs", or_null(completion_logprobs())},
                 {"finish_reason", chunk ? or_null(finish_reason()) : finish_reason()}});
}

json error() {
  const json types =
      one_of({"invalid_request_error", "authentication_error", "rate_limit_error", "timeout_error", "server_error"});
  return object(
      {{"error",
        object({{"message", kString}, {"type", types}, {"param", or_null(kString)}, {"code", or_null(kString)}})}});
}

}  // namespace

json reply_schemas() {
  const json model = object({{"id", kString},
                             {"object", one_of({"model"})},
                             {"created", {{"type", "integer"}}},
                             {"owned_by", kString},
                             {"max_model_len", kCount}});
  return {{"ChatCompletion", answer("chat.completion", chat_choice(), false)},
          {"ChatCompletionChunk", answer("chat.completion.chunk", chat_chunk_choice(), true)},
          {"Completion", answer("text_completion", completion_choice(false), false)},
          {"CompletionChunk", answer("text_completion", completion_choice(true), true)},
          {"Usage", usage()},
          {"Model", model},
          {"ModelList", object({{"object", one_of({"list"})}, {"data", list_of(reference("Model"))}})},
          {"Tokens", object({{"count", kCount}, {"max_model_len", kCount}, {"tokens", list_of(kCount)}},
                            {{"token_strs", list_of(kString)}})},
          {"Text", object({{"prompt", kString}})},
          {"Status", object({{"status", kString}})},
          {"Load", object({{"server_load", kCount}})},
          {"Version", object({{"version", kString}})},
          {"Document", {{"type", "object"}}},
          {"Error", error()}};
}

}  // namespace tern
