#include "server/openai.h"

#include <fmt/core.h>

#include <algorithm>
#include <ctime>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "core/rng.h"
#include "server/api_error.h"
#include "server/chat_input.h"
#include "server/http_wire.h"
#include "server/log.h"
#include "server/openai_answer.h"
#include "server/openai_request.h"

namespace tern {
namespace {

using nlohmann::json;

// A field's name, not text that somebody put in its place.
bool is_name(const std::string& field) {
  const auto part = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  return field.size() <= 40 && std::all_of(field.begin(), field.end(), part);
}

// Says once about each field that tern ignores it.
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

// Also before the prompt is tokenized: a full queue costs next to nothing.
std::string check_model_and_queue(const Backend& backend, const OpenAiRequest& request) {
  const std::string& name = request.model.empty() ? backend.names.front() : request.model;
  if (std::find(backend.names.begin(), backend.names.end(), name) == backend.names.end()) {
    throw ApiError(404, "there is no model '" + printable(name) + "' here, only '" + backend.names.front() + "'",
                   "model_not_found", "model");
  }
  if (backend.service.queue_full()) throw queue_full_error();
  return name;
}

void check_tokens(const Backend& backend, const std::string& param, const std::vector<int32_t>& tokens) {
  if (tokens.empty()) refuse(param, "'" + param + "' is empty: the model needs at least one token");
  const int64_t context = backend.service.context_tokens();
  if (static_cast<int64_t>(tokens.size()) >= context) {
    refuse(param,
           fmt::format("the prompt has {} tokens, the context holds {} with at least one for the answer", tokens.size(),
                       context),
           "context_length_exceeded");
  }
  const int32_t vocabulary = static_cast<int32_t>(backend.model.config().vocabulary);
  for (const int32_t id : tokens) {
    if (id >= vocabulary)
      refuse(param, fmt::format("'{}' holds token {}, the vocabulary ends at {}", param, id, vocabulary - 1));
  }
}

uint64_t random_seed() {
  static std::mutex mutex;
  static std::random_device device;
  const std::lock_guard lock(mutex);
  return uint64_t{device()} << 32 | device();
}

// One submission a choice: `n` of the first prompt, `n` of the second, ...; choice 0 has the seed that was asked for.
Generation make_generation(const Backend& backend, OpenAiRequest request, std::vector<std::vector<int32_t>> prompts,
                           bool chat, std::string model, const HttpRequest& http) {
  for (const auto& [id, bias] : request.params.sampling.logit_bias) {
    if (id >= backend.model.config().vocabulary) {
      refuse("logit_bias", fmt::format("'logit_bias' names token {}, the vocabulary ends at {}", id,
                                       backend.model.config().vocabulary - 1));
    }
  }
  AnswerFacts facts{.chat = chat,
                    .stream = request.stream,
                    .include_usage = request.include_usage,
                    .logprobs = request.logprobs,
                    .id = (chat ? "chatcmpl-" : "cmpl-") + request_id(""),
                    .model = std::move(model),
                    .created = std::time(nullptr),
                    .choices = prompts.size() * request.n,
                    .tokenizer = backend.model.tokenizer()};
  const uint64_t seed = request.seed ? *request.seed : random_seed();
  Generation generation;
  generation.stream = request.stream;
  generation.user = std::move(request.user);
  request.params.scheduling.tenant = http.tenant;
  request.params.scheduling.cache_salt.insert(0, http.cache_salt);
  for (const std::vector<int32_t>& prompt : prompts) {
    facts.prompt_tokens += static_cast<int64_t>(prompt.size());
    for (size_t i = 0; i < request.n; ++i) {
      const uint64_t choice = generation.submissions.size();
      Submission submission{.prompt = prompt, .params = request.params, .sink = {}};
      submission.params.sampling.seed = choice == 0 ? seed : random_bits(seed, choice);
      generation.submissions.push_back(std::move(submission));
    }
  }
  generation.writer = make_openai_answer(std::move(facts));
  return generation;
}

}  // namespace

Outcome health(const Backend&, const HttpRequest&) { return HttpReply{.body = R"({"status":"ok"})"}; }

Outcome list_models(const Backend& backend, const HttpRequest&) {
  json list = json::array();
  for (const std::string& name : backend.names) {
    list.push_back({{"id", name},
                    {"object", "model"},
                    {"created", backend.created},
                    {"owned_by", "tern"},
                    {"max_model_len", backend.service.context_tokens()}});
  }
  const json body = {{"object", "list"}, {"data", std::move(list)}};
  return HttpReply{.body = body.dump(-1, ' ', false, json::error_handler_t::replace)};
}

Outcome chat_completions(const Backend& backend, const HttpRequest& http) {
  OpenAiRequest request = parse_openai_request(http.body, kChat);
  report_unknown(request.unknown_fields);
  std::string model = check_model_and_queue(backend, request);
  if (!backend.model.has_chat_template() || backend.model.tokenizer() == nullptr) {
    throw ApiError(400, "the model has no chat template: use /v1/completions", "no_chat_template", "messages");
  }
  std::vector<int32_t> tokens;
  try {
    tokens = chat_prompt(backend.model, chat_input(http.body, request));
  } catch (const ApiError&) {
    throw;
  } catch (const Error& error) {
    refuse("messages", error.what());
  }
  check_tokens(backend, "messages", tokens);
  return make_generation(backend, std::move(request), {std::move(tokens)}, true, std::move(model), http);
}

Outcome completions(const Backend& backend, const HttpRequest& http) {
  OpenAiRequest request = parse_openai_request(http.body, kCompletions);
  report_unknown(request.unknown_fields);
  std::string model = check_model_and_queue(backend, request);
  std::vector<std::vector<int32_t>> prompts;
  for (Prompt& prompt : request.prompts) {
    if (auto* ids = std::get_if<std::vector<int32_t>>(&prompt)) {
      prompts.push_back(std::move(*ids));
    } else {
      if (backend.model.tokenizer() == nullptr) refuse("prompt", "the model has no tokenizer: send token ids");
      prompts.push_back(text_prompt(backend.model, std::get<std::string>(prompt)));
    }
    check_tokens(backend, "prompt", prompts.back());
  }
  return make_generation(backend, std::move(request), std::move(prompts), false, std::move(model), http);
}

}  // namespace tern
