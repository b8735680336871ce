// The request fields whose values are more than one number or word: how each is read. Pure functions; any thread.
//
// All throw a 400 that names the field. What they accept is what request_schema.h says of the field.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>

namespace tern {

struct OpenAiRequest;

void set_prompt(const nlohmann::json& value, OpenAiRequest& request);
void set_tokens(const nlohmann::json& value, OpenAiRequest& request);
void set_stop(const nlohmann::json& value, OpenAiRequest& request);
void set_stop_token_ids(const nlohmann::json& value, OpenAiRequest& request);
void set_logit_bias(const nlohmann::json& value, OpenAiRequest& request);
void set_stream_options(const nlohmann::json& value, OpenAiRequest& request);
void set_tools(const nlohmann::json& value, OpenAiRequest& request);
void set_tool_choice(const nlohmann::json& value, OpenAiRequest& request);
void set_response_format(const nlohmann::json& value, OpenAiRequest& request);

}  // namespace tern
