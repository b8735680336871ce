// JSON -> request, by the table of fields; what no single field can say (fields that need or exclude each other) is
// decided here too. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api/session.h"
#include "server/request_fields.h"

namespace tern {

using Prompt = std::variant<std::string, std::vector<int32_t>>;

struct OpenAiRequest {
  std::string model;                // empty: whatever is served
  std::vector<Prompt> prompts;      // completions, tokenize
  std::vector<int32_t> tokens;      // detokenize
  bool has_messages = false;        // chat, tokenize
  bool use_tools = false;           // chat: tools are given and tool_choice lets the model see them
  bool template_arguments = false;  // chat: chat_template_kwargs is given
  bool add_generation_prompt = true;
  std::optional<bool> add_special_tokens;  // none: text has them, a rendered conversation does not
  bool return_token_strs = false;
  GenerationParams params;
  std::optional<uint64_t> seed;
  std::optional<double> timeout_s;
  std::string user;  // for logs
  size_t n = 1;
  bool stream = false, include_usage = false, continuous_usage = false;
  bool logprobs = false;
  std::vector<std::string> unknown_fields;
};

OpenAiRequest parse_openai_request(std::string_view body, Endpoints endpoint);

}  // namespace tern
