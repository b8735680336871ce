#include "server/openai_request.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/limits.h"
#include "server/api_error.h"
#include "server/json_body.h"

namespace tern {
namespace {

using nlohmann::json;

std::vector<std::string> unknown_fields(const json& root, Endpoints endpoint) {
  std::vector<std::string> unknown;
  const auto fields = request_fields();
  for (const auto& [name, value] : root.items()) {
    const bool known = std::any_of(fields.begin(), fields.end(), [&, &key = name](const RequestField& field) {
      return (field.endpoints & endpoint) != 0 && field.name == key;
    });
    if (!known) unknown.push_back(name);
  }
  return unknown;
}

// What depends on several fields.
void check_together(Endpoints endpoint, const OpenAiRequest& request) {
  constexpr const char* kConflict = "conflicting_fields";
  if ((request.include_usage || request.continuous_usage) && !request.stream) {
    refuse("stream_options", "'stream_options' needs 'stream' to be true", kConflict);
  }
  if (request.prompts.size() * request.n > Limits::kChoices) {
    refuse("n",
           fmt::format("{} prompts with 'n' {} make more than {} choices", request.prompts.size(), request.n,
                       Limits::kChoices),
           "too_many_choices");
  }
  if (endpoint != kTokenize) return;
  if (request.prompts.empty() && !request.has_messages) {
    refuse("prompt", "'prompt' or 'messages' is missing", "missing_field");
  }
  if (!request.prompts.empty() && request.has_messages) {
    refuse("messages", "'messages' and 'prompt' exclude each other", kConflict);
  }
}

}  // namespace

OpenAiRequest parse_openai_request(std::string_view body, Endpoints endpoint) {
  json root = parse_body(body);
  OpenAiRequest request;
  for (const RequestField& field : request_fields()) {
    if ((field.endpoints & endpoint) == 0) continue;
    const auto at = root.find(field.name);
    if (at == root.end() || at->is_null()) {
      if (field.fallback == kRequired) {
        refuse(std::string(field.name), fmt::format("'{}' is missing", field.name), "missing_field");
      }
      continue;
    }
    check_field(field, *at);
    field.set(*at, request);
  }
  check_together(endpoint, request);
  request.unknown_fields = unknown_fields(root, endpoint);
  return request;
}

}  // namespace tern
