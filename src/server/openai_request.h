// JSON -> request: one table of fields, which validates, fills in and documents them.
//
// Every value out of its range or of another type is refused with a 400 that names the field; null counts as absent;
// fields that the table does not know are ignored and reported. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api/session.h"

namespace tern {

enum class FieldType : uint8_t { kBoolean, kInteger, kNumber, kString, kList, kObject, kSeveral };

enum Endpoints : uint8_t { kChat = 1, kCompletions = 2, kBoth = 3 };

struct RequestField {
  std::string_view name;
  FieldType type;
  Endpoints endpoints;
  double min, max;  // of a number; of a string's bytes, a list's elements, an object's entries
  std::string_view fallback;
  std::string_view meaning;
};

std::span<const RequestField> request_fields();

// Choices of one request, all prompts together.
inline constexpr size_t kMaxChoices = 128;

using Prompt = std::variant<std::string, std::vector<int32_t>>;

struct OpenAiRequest {
  std::string model;                // empty: whatever is served
  std::string user;                 // for the log
  std::vector<Prompt> prompts;      // completions
  bool use_tools = false;           // chat: tools are given and tool_choice lets the model see them
  bool template_arguments = false;  // chat: chat_template_kwargs is given
  GenerationParams params;
  std::optional<uint64_t> seed;
  size_t n = 1;
  bool stream = false, include_usage = false;
  bool logprobs = false;
  std::vector<std::string> unknown_fields;
};

OpenAiRequest parse_openai_request(std::string_view body, Endpoints endpoint);

}  // namespace tern
