// What a request gives the model to read, as tokens: a conversation through the chat template, texts, or token ids.
//
// Text in a conversation never becomes a control token, whatever it says; a completion's prompt is written by the
// caller as a whole, so control tokens in its text count. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/exchange.h"
#include "server/openai_request.h"

namespace tern {

// The model that is asked for. Throws a 404.
std::string served_model(const Backend& backend, const OpenAiRequest& request);

// `body` is the JSON that `request` was parsed from. Both throw a 400 that names the field.
std::vector<int32_t> conversation_tokens(const Backend& backend, const OpenAiRequest& request, std::string_view body);
std::vector<int32_t> text_tokens(const Backend& backend, const OpenAiRequest& request, std::string_view text);

// Ids that the model has; else a 400 that names the field.
void check_vocabulary(const Backend& backend, const std::string& param, const std::vector<int32_t>& tokens);
// And neither none nor more than the context takes with one for the answer.
void check_prompt(const Backend& backend, const std::string& param, const std::vector<int32_t>& tokens);

// Says once about each field that tern ignores it.
void report_unknown(const std::vector<std::string>& fields);

}  // namespace tern
