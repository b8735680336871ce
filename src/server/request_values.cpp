#include "server/request_values.h"

#include <fmt/core.h>

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/limits.h"
#include "server/api_error.h"
#include "server/json_body.h"
#include "server/openai_request.h"
#include "server/request_schema.h"

namespace tern {
namespace {

using nlohmann::json;

constexpr const char* kUnsupported = "unsupported_value";

int32_t token_id(const std::string& param, const json& value) {
  const bool whole = value.is_number_integer() || (value.is_number_float() && value == std::floor(value.get<double>()));
  if (!whole) refuse_type(param, "a token id", value);
  if (value < 0 || value >= static_cast<int64_t>(Limits::kVocabulary)) {
    refuse(param, fmt::format("'{}' must hold token ids, not {}", param, value.dump()));
  }
  return value.get<int32_t>();
}

std::vector<int32_t> token_ids(const std::string& param, const json& list) {
  std::vector<int32_t> ids;
  ids.reserve(list.size());
  for (const json& id : list) ids.push_back(token_id(param, id));
  return ids;
}

void add_stop(const json& stop, OpenAiRequest& request) {
  constexpr RequestField kOne{"stop", FieldType::kString, kBoth, 1, kStopCharacters, "", "", nullptr};
  if (!stop.is_string()) {
    refuse_type("stop", fmt::format("a string or a list of up to {} strings", Limits::kStopStrings), stop);
  }
  json text = stop;
  check_field(kOne, text);
  request.params.stop.push_back(text.get<std::string>());
}

void set_flag(const json& object, const char* name, const std::string& param, bool& flag) {
  const auto at = object.find(name);
  if (at == object.end() || at->is_null()) return;
  if (!at->is_boolean()) refuse_type(param + "." + name, "true or false", *at);
  flag = at->get<bool>();
}

}  // namespace

void set_prompt(const json& value, OpenAiRequest& request) {
  constexpr const char* kWanted = "a string, a list of strings, a list of token ids or a list of such lists";
  if (value.is_string()) {
    request.prompts.emplace_back(value.get<std::string>());
    return;
  }
  if (!value.is_array()) refuse_type("prompt", kWanted, value);
  if (value.empty()) refuse("prompt", "'prompt' is an empty list");
  if (value[0].is_number()) {
    request.prompts.emplace_back(token_ids("prompt", value));
    return;
  }
  if (value.size() > Limits::kChoices) {
    refuse("prompt", fmt::format("'prompt' has {} prompts, at most {} are allowed", value.size(), Limits::kChoices));
  }
  for (const json& one : value) {
    if (one.type() != value[0].type()) refuse_type("prompt", kWanted, one);
    if (one.is_string()) {
      request.prompts.emplace_back(one.get<std::string>());
    } else if (one.is_array() && !one.empty()) {
      request.prompts.emplace_back(token_ids("prompt", one));
    } else {
      refuse_type("prompt", kWanted, one);
    }
  }
}

void set_tokens(const json& value, OpenAiRequest& request) { request.tokens = token_ids("tokens", value); }

void set_stop(const json& value, OpenAiRequest& request) {
  if (!value.is_array()) return add_stop(value, request);
  if (value.size() > Limits::kStopStrings) {
    refuse("stop", fmt::format("'stop' has {} strings, at most {} are allowed", value.size(), Limits::kStopStrings));
  }
  for (const json& stop : value) add_stop(stop, request);
}

void set_stop_token_ids(const json& value, OpenAiRequest& request) {
  request.params.stop_tokens = token_ids("stop_token_ids", value);
}

void set_logit_bias(const json& value, OpenAiRequest& request) {
  for (const auto& [key, bias] : value.items()) {
    int32_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    const bool plain = error == std::errc() && end == key.data() + key.size() && std::to_string(id) == key;
    if (!plain || id < 0 || id >= static_cast<int64_t>(Limits::kVocabulary)) {
      refuse("logit_bias",
             fmt::format("'logit_bias' maps token ids to numbers; \"{}\" is no token id", printable(key)));
    }
    if (!bias.is_number()) refuse_type("logit_bias", "numbers from -100 to 100", bias);
    if (std::abs(bias.get<double>()) > 100) {
      refuse("logit_bias", fmt::format("'logit_bias' must hold numbers from -100 to 100, not {}", bias.dump()));
    }
    request.params.sampling.logit_bias.emplace_back(id, bias.get<float>());
  }
}

void set_stream_options(const json& value, OpenAiRequest& request) {
  set_flag(value, "include_usage", "stream_options", request.include_usage);
  set_flag(value, "continuous_usage_stats", "stream_options", request.continuous_usage);
}

void set_tools(const json& value, OpenAiRequest& request) {
  for (const json& tool : value) {
    if (!tool.is_object()) refuse_type("tools", "a list of objects", tool);
  }
  request.use_tools = !value.empty();
}

void set_tool_choice(const json& value, OpenAiRequest& request) {
  if (value == "none") {
    request.use_tools = false;
  } else if (value != "auto") {
    refuse("tool_choice", "'tool_choice' must be \"auto\" or \"none\": tern cannot force a call yet", kUnsupported);
  }
}

void set_response_format(const json& value, OpenAiRequest&) {
  if (value.value("type", json()) != "text") {
    refuse("response_format", "'response_format' must be {\"type\": \"text\"}: tern does not constrain answers yet",
           kUnsupported);
  }
}

}  // namespace tern
