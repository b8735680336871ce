#include "server/openai_request.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/limits.h"
#include "server/api_error.h"

namespace tern {
namespace {

using nlohmann::json;

constexpr int64_t kJsonValues = 1 << 20;  // of one body: a value takes 16 bytes and more, whatever it says
constexpr double kContext = Limits::kContext;
constexpr double kStops = Limits::kStopStrings;
constexpr double kVocabulary = Limits::kVocabulary;
constexpr double kTopLogprobs = 20;  // as OpenAI; each costs some 80 bytes a token on the wire

std::string type_name(const json& value) {
  switch (value.type()) {
    case json::value_t::boolean:
      return "a boolean";
    case json::value_t::string:
      return "a string";
    case json::value_t::array:
      return "a list";
    case json::value_t::object:
      return "an object";
    case json::value_t::null:
      return "null";
    default:
      return value.dump();
  }
}

[[noreturn]] void wrong(const std::string& param, const std::string& wanted, const json& value) {
  refuse(param, fmt::format("'{}' must be {}, not {}", param, wanted, type_name(value)));
}

int32_t token_id(const std::string& param, const json& value) {
  if (!value.is_number_integer() || value < 0 || value >= static_cast<int64_t>(Limits::kVocabulary)) {
    wrong(param, "a token id", value);
  }
  return value.get<int32_t>();
}

std::vector<int32_t> token_ids(const std::string& param, const json& list) {
  std::vector<int32_t> ids;
  ids.reserve(list.size());
  for (const json& id : list) ids.push_back(token_id(param, id));
  return ids;
}

void set_prompt(const json& value, OpenAiRequest& request) {
  constexpr const char* kWanted = "a string, a list of strings, a list of token ids or a list of such lists";
  if (value.is_string()) {
    request.prompts.emplace_back(value.get<std::string>());
    return;
  }
  if (!value.is_array()) wrong("prompt", kWanted, value);
  if (value.empty()) refuse("prompt", "'prompt' is an empty list");
  if (value[0].is_number()) {
    request.prompts.emplace_back(token_ids("prompt", value));
    return;
  }
  if (value.size() > kMaxChoices) {
    refuse("prompt", fmt::format("'prompt' has {} prompts, at most {} are allowed", value.size(), kMaxChoices));
  }
  for (const json& one : value) {
    if (one.type() != value[0].type()) wrong("prompt", kWanted, one);
    if (one.is_string()) {
      request.prompts.emplace_back(one.get<std::string>());
    } else if (one.is_array()) {
      request.prompts.emplace_back(token_ids("prompt", one));
    } else {
      wrong("prompt", kWanted, one);
    }
  }
}

void set_stop(const json& value, OpenAiRequest& request) {
  const std::string wanted = fmt::format("a string of 1 to {} bytes or a list of up to {} of them",
                                         Limits::kStopStringBytes, Limits::kStopStrings);
  const auto add = [&](const json& stop) {
    if (!stop.is_string()) wrong("stop", wanted, stop);
    const auto text = stop.get<std::string>();
    if (text.empty() || text.size() > Limits::kStopStringBytes) {
      refuse("stop", fmt::format("'stop' must be {}, not a string of {} bytes", wanted, text.size()));
    }
    request.params.stop.push_back(text);
  };
  if (!value.is_array()) return add(value);
  if (static_cast<double>(value.size()) > kStops) {
    refuse("stop", fmt::format("'stop' has {} strings, at most {} are allowed", value.size(), Limits::kStopStrings));
  }
  for (const json& stop : value) add(stop);
}

void set_logit_bias(const json& value, OpenAiRequest& request) {
  for (const auto& [key, bias] : value.items()) {
    int32_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0) {
      refuse("logit_bias",
             fmt::format("'logit_bias' maps token ids to numbers; \"{}\" is no token id", printable(key)));
    }
    if (!bias.is_number() || std::abs(bias.get<double>()) > 100) wrong("logit_bias", "numbers from -100 to 100", bias);
    request.params.sampling.logit_bias.emplace_back(id, bias.get<float>());
  }
}

void set_stream_options(const json& value, OpenAiRequest& request) {
  const auto usage = value.find("include_usage");
  if (usage == value.end() || usage->is_null()) return;
  if (!usage->is_boolean()) wrong("stream_options.include_usage", "true or false", *usage);
  request.include_usage = usage->get<bool>();
}

void set_tool_choice(const json& value, OpenAiRequest& request) {
  if (value == "none") {
    request.use_tools = false;
  } else if (value != "auto") {
    refuse("tool_choice", "'tool_choice' must be \"auto\" or \"none\": tern cannot force a call yet");
  }
}

void set_response_format(const json& value, OpenAiRequest&) {
  if (value.value("type", json()) != "text") {
    refuse("response_format", "'response_format' must be {\"type\": \"text\"}: tern does not constrain answers yet");
  }
}

// Below this a temperature divides logits beyond what float holds; the most probable token has won long before.
constexpr double kGreedyBelow = 1e-4;

struct Row {
  RequestField field;
  void (*set)(const json& value, OpenAiRequest& request);
};

using enum FieldType;
using R = OpenAiRequest;

// In the order in which they are read: tools before tool_choice, max_tokens before max_completion_tokens.
constexpr std::array kRows{
    Row{{"model", kString, kBoth, 1, 1024, "the served model", "name of the model"},
        [](const json& v, R& r) { r.model = v.get<std::string>(); }},
    Row{{"messages", kList, kChat, 1, Limits::kMessages, "required", "the conversation, through the chat template"},
        [](const json&, R&) {}},
    Row{{"prompt", kSeveral, kCompletions, 0, 0, "required", "text or token ids; several make several choices"},
        set_prompt},
    Row{{"max_tokens", kInteger, kBoth, 1, kContext, "what the context leaves", "tokens of an answer at most"},
        [](const json& v, R& r) { r.params.max_tokens = v.get<int64_t>(); }},
    Row{{"max_completion_tokens", kInteger, kChat, 1, kContext, "max_tokens", "the new name of max_tokens"},
        [](const json& v, R& r) { r.params.max_tokens = v.get<int64_t>(); }},
    Row{{"temperature", kNumber, kBoth, 0, 100, "1", "0: always the most probable token"},
        [](const json& v, R& r) {
          r.params.sampling.temperature = v.get<double>() < kGreedyBelow ? 0.0f : v.get<float>();
        }},
    Row{{"top_p", kNumber, kBoth, 0, 1, "1", "sample from the most probable tokens that reach this together"},
        [](const json& v, R& r) { r.params.sampling.top_p = v.get<float>(); }},
    Row{{"top_k", kInteger, kBoth, -1, kVocabulary, "0", "sample from this many tokens; 0 and -1: all"},
        [](const json& v, R& r) { r.params.sampling.top_k = std::max(v.get<int32_t>(), 0); }},
    Row{{"min_p", kNumber, kBoth, 0, 1, "0", "least probability, as a share of the best token's"},
        [](const json& v, R& r) { r.params.sampling.min_p = v.get<float>(); }},
    Row{{"presence_penalty", kNumber, kBoth, -2, 2, "0", "off the logit of a token that the answer holds"},
        [](const json& v, R& r) { r.params.sampling.presence_penalty = v.get<float>(); }},
    Row{{"frequency_penalty", kNumber, kBoth, -2, 2, "0", "off the logit for each time that the answer holds it"},
        [](const json& v, R& r) { r.params.sampling.frequency_penalty = v.get<float>(); }},
    Row{{"repetition_penalty", kNumber, kBoth, 0.01, 100, "1", "divides the logit of what prompt or answer hold"},
        [](const json& v, R& r) { r.params.sampling.repetition_penalty = v.get<float>(); }},
    Row{{"seed", kInteger, kBoth, -9223372036854775808.0, 18446744073709551615.0, "random", "same seed, same answer"},
        [](const json& v, R& r) {
          r.seed = v.is_number_unsigned() ? v.get<uint64_t>() : static_cast<uint64_t>(v.get<int64_t>());
        }},
    Row{{"stop", kSeveral, kBoth, 0, 0, "none", "a string or a list: the answer ends before the first of them"},
        set_stop},
    Row{{"stream", kBoolean, kBoth, 0, 0, "false", "server-sent events as the answer grows"},
        [](const json& v, R& r) { r.stream = v.get<bool>(); }},
    Row{{"stream_options", kObject, kBoth, 0, 16, "none", "include_usage: a last event that counts tokens"},
        set_stream_options},
    Row{{"n", kInteger, kBoth, 1, 16, "1", "answers to each prompt"},
        [](const json& v, R& r) { r.n = v.get<size_t>(); }},
    Row{{"logprobs", kBoolean, kChat, 0, 0, "false", "log-probabilities of the answer's tokens"},
        [](const json& v, R& r) {
          r.logprobs = v.get<bool>();
          if (r.logprobs) r.params.logprobs = 0;
        }},
    Row{{"top_logprobs", kInteger, kChat, 0, kTopLogprobs, "0", "and of this many others; needs logprobs"},
        [](const json& v, R& r) {
          if (!r.logprobs) refuse("top_logprobs", "'top_logprobs' needs 'logprobs' to be true");
          r.params.logprobs = v.get<int32_t>();
        }},
    Row{{"logprobs", kInteger, kCompletions, 0, kTopLogprobs, "none", "log-probabilities of this many tokens a place"},
        [](const json& v, R& r) {
          r.logprobs = true;
          r.params.logprobs = v.get<int32_t>();
        }},
    Row{{"logit_bias", kObject, kBoth, 0, 1024, "none", "token id -> -100..100, added to its logit"}, set_logit_bias},
    Row{{"ignore_eos", kBoolean, kBoth, 0, 0, "false", "go on after an end token"},
        [](const json& v, R& r) { r.params.ignore_eos = v.get<bool>(); }},
    Row{{"tools", kList, kChat, 0, 1024, "none", "descriptions for the chat template"},
        [](const json& v, R& r) { r.use_tools = !v.empty(); }},
    Row{{"tool_choice", kSeveral, kChat, 0, 0, "auto", "none: the template does not see the tools"}, set_tool_choice},
    Row{{"chat_template_kwargs", kObject, kChat, 0, 256, "none", "further variables for the chat template"},
        [](const json&, R& r) { r.template_arguments = true; }},
    Row{{"user", kString, kBoth, 0, 1024, "none", "named in the log"},
        [](const json& v, R& r) { r.user = v.get<std::string>(); }},
    Row{{"response_format", kObject, kBoth, 0, 16, "text", "only {\"type\": \"text\"}"}, set_response_format},
    Row{{"echo", kBoolean, kCompletions, 0, 0, "false", "only false"},
        [](const json& v, R&) {
          if (v.get<bool>()) refuse("echo", "'echo' is not supported: the answer does not repeat the prompt");
        }},
    Row{{"best_of", kInteger, kCompletions, 1, 16, "n", "only the value of n"},
        [](const json& v, R& r) {
          if (v.get<size_t>() != r.n) refuse("best_of", "'best_of' must be equal to 'n': tern does not rank answers");
        }},
    Row{{"suffix", kString, kCompletions, 0, 0, "none", "only empty"}, [](const json&, R&) {}},
};

constexpr auto kFields = [] {
  std::array<RequestField, kRows.size()> fields{};
  for (size_t i = 0; i < kRows.size(); ++i) fields[i] = kRows[i].field;
  return fields;
}();

std::string bound(double value) { return fmt::format("{:.{}f}", value, value == std::floor(value) ? 0 : 2); }

void check_range(const RequestField& field, const json& value, std::string_view what) {
  const double size =
      value.is_number()
          ? value.get<double>()
          : static_cast<double>(value.is_string() ? value.get_ref<const std::string&>().size() : value.size());
  if (size >= field.min && size <= field.max) return;
  const std::string found = value.is_number() ? value.dump() : fmt::format("{}", size);
  refuse(std::string(field.name),
         fmt::format("'{}' must be {} {} to {}, not {}", field.name, what, bound(field.min), bound(field.max), found));
}

void check(const RequestField& field, const json& value) {
  const std::string name(field.name);
  switch (field.type) {
    case kSeveral:
      return;
    case kBoolean:
      if (!value.is_boolean()) wrong(name, "true or false", value);
      return;
    case kInteger:
      if (!value.is_number_integer()) wrong(name, "an integer", value);
      return check_range(field, value, "an integer from");
    case kNumber:
      if (!value.is_number()) wrong(name, "a number", value);
      return check_range(field, value, "a number from");
    case kString:
      if (!value.is_string()) wrong(name, "a string", value);
      return check_range(field, value, "a string with a length in bytes from");
    case kList:
      if (!value.is_array()) wrong(name, "a list", value);
      return check_range(field, value, "a list with a length from");
    case kObject:
      if (!value.is_object()) wrong(name, "an object", value);
      return check_range(field, value, "an object with a number of entries from");
  }
}

json parse_body(std::string_view body) {
  int64_t values = 0;
  const auto bounded = [&](int depth, json::parse_event_t, json&) {
    if (depth > static_cast<int>(Limits::kJsonDepth)) {
      refuse("", fmt::format("the body nests more than {} levels", Limits::kJsonDepth), "invalid_json");
    }
    if (++values > kJsonValues)
      refuse("", fmt::format("the body holds more than {} values", kJsonValues), "invalid_json");
    return true;
  };
  try {
    json root = json::parse(body, bounded);
    if (!root.is_object()) refuse("", "the body must be a JSON object, not " + type_name(root), "invalid_json");
    return root;
  } catch (const json::parse_error& error) {
    refuse("", fmt::format("the body is not valid JSON in UTF-8: byte {}", error.byte), "invalid_json");
  } catch (const json::exception&) {
    refuse("", "the body holds a number that no double holds", "invalid_json");
  }
}

std::vector<std::string> unknown_fields(const json& root, Endpoints endpoint) {
  std::vector<std::string> unknown;
  for (const auto& [name, value] : root.items()) {
    const bool known = std::any_of(kFields.begin(), kFields.end(), [&, &key = name](const RequestField& field) {
      return (field.endpoints & endpoint) != 0 && field.name == key;
    });
    if (!known) unknown.push_back(name);
  }
  return unknown;
}

}  // namespace

std::span<const RequestField> request_fields() { return kFields; }

OpenAiRequest parse_openai_request(std::string_view body, Endpoints endpoint) {
  const json root = parse_body(body);
  OpenAiRequest request;
  for (const Row& row : kRows) {
    if ((row.field.endpoints & endpoint) == 0) continue;
    const auto at = root.find(row.field.name);
    if (at == root.end() || at->is_null()) {
      if (row.field.fallback == "required") {
        refuse(std::string(row.field.name), fmt::format("'{}' is missing", row.field.name));
      }
      continue;
    }
    check(row.field, *at);
    row.set(*at, request);
  }
  if (root.contains("stream_options") && !root["stream_options"].is_null() && !request.stream) {
    refuse("stream_options", "'stream_options' needs 'stream' to be true");
  }
  if (request.prompts.size() * request.n > kMaxChoices) {
    refuse("n", fmt::format("{} prompts with 'n' {} make more than {} choices", request.prompts.size(), request.n,
                            kMaxChoices));
  }
  request.unknown_fields = unknown_fields(root, endpoint);
  return request;
}

}  // namespace tern
