#include "server/prompt_tokens.h"

#include <fmt/core.h>

#include <algorithm>
#include <mutex>
#include <set>

#include "server/api_error.h"
#include "server/chat_input.h"
#include "server/log.h"

namespace tern {

// A field's name, not text that somebody put in its place: no such text gets into the log.
static bool is_name(const std::string& field) {
  const auto part = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  return field.size() <= 40 && std::all_of(field.begin(), field.end(), part);
}

void report_unknown(const std::vector<std::string>& fields) {
  static std::mutex mutex;
  static std::set<std::string> reported;
  constexpr size_t kAtMost = 64;  // clients can invent names without end
  const std::lock_guard lock(mutex);
  for (const std::string& field : fields) {
    if (!is_name(field) || reported.size() >= kAtMost || !reported.insert(field).second) continue;
    LogLine(LogLevel::kWarning, "unknown request field ignored").add("field", field);
  }
}

std::string served_model(const Backend& backend, const OpenAiRequest& request) {
  const std::string& name = request.model.empty() ? backend.names.front() : request.model;
  if (std::find(backend.names.begin(), backend.names.end(), name) == backend.names.end()) {
    throw ApiError(404, "'model': there is no '" + printable(name) + "' here, only '" + backend.names.front() + "'",
                   "model_not_found", "model");
  }
  return name;
}

std::vector<int32_t> conversation_tokens(const Backend& backend, const OpenAiRequest& request, std::string_view body) {
  if (!backend.model.has_chat_template() || backend.model.tokenizer() == nullptr) {
    refuse("messages", "'messages' need a chat template, which the model does not have: use /v1/completions",
           "no_chat_template");
  }
  try {
    const MarkedText text = backend.model.chat_template().render(chat_input(body, request));
    // The template writes BOS itself where the model wants it.
    return backend.model.tokenizer()->encode_marked(text, request.add_special_tokens.value_or(false));
  } catch (const ApiError&) {
    throw;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kBadInput) throw;
    refuse("messages", "the chat template does not take these 'messages': " + public_text(error), "template_refused");
  }
}

std::vector<int32_t> text_tokens(const Backend& backend, const OpenAiRequest& request, std::string_view text) {
  if (backend.model.tokenizer() == nullptr) {
    refuse("prompt", "'prompt' must be token ids: the model's file has no tokenizer", "no_tokenizer");
  }
  return backend.model.tokenizer()->encode(text, {.add_special = request.add_special_tokens.value_or(true)});
}

void check_vocabulary(const Backend& backend, const std::string& param, const std::vector<int32_t>& tokens) {
  const auto vocabulary = static_cast<int32_t>(backend.model.config().vocabulary);
  const auto beyond = std::find_if(tokens.begin(), tokens.end(), [&](int32_t id) { return id >= vocabulary; });
  if (beyond == tokens.end()) return;
  refuse(param, fmt::format("'{}' holds token {}, the vocabulary ends at {}", param, *beyond, vocabulary - 1),
         "token_out_of_vocabulary");
}

void check_prompt(const Backend& backend, const std::string& param, const std::vector<int32_t>& tokens) {
  if (tokens.empty()) {
    refuse(param, "'" + param + "' is empty: the model needs at least one token", "empty_prompt");
  }
  const int64_t context = backend.service.context_tokens();
  if (static_cast<int64_t>(tokens.size()) >= context) {
    refuse(param,
           fmt::format("'{}' has {} tokens, the context holds {} with at least one for the answer", param,
                       tokens.size(), context),
           "context_length_exceeded");
  }
  check_vocabulary(backend, param, tokens);
}

}  // namespace tern
