#include "server/openai.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>

#include "core/clock.h"
#include "core/rng.h"
#include "server/api_error.h"
#include "server/http_wire.h"
#include "server/openai_answer.h"
#include "server/prompt_tokens.h"

namespace tern {
namespace {

using nlohmann::json;

constexpr std::string_view kModelPath = "/v1/models/";

uint64_t random_seed() {
  static std::mutex mutex;
  static std::random_device device;
  const std::lock_guard lock(mutex);
  return uint64_t{device()} << 32 | device();
}

// Also before the prompt is tokenized: a full queue costs next to nothing.
void check_queue(const Backend& backend) {
  if (backend.service.queue_full()) throw queue_full_error();
}

std::string dump(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

json model_entry(const Backend& backend, const std::string& name) {
  return {{"id", name},
          {"object", "model"},
          {"created", backend.created},
          {"owned_by", "tern"},
          {"max_model_len", backend.service.context_tokens()}};
}

// "a%2Fb" -> "a/b"; what is no escape stays.
std::string percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    const char* digits = text.data() + i + 1;
    if (text[i] == '%' && i + 2 < text.size() && std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      out += static_cast<char>(byte);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

// Ids that only the model can judge, and what the engine's clock has to say.
void complete_params(const Backend& backend, OpenAiRequest& request) {
  std::vector<int32_t> biased;
  for (const auto& [id, bias] : request.params.sampling.logit_bias) biased.push_back(id);
  check_vocabulary(backend, "logit_bias", biased);
  check_vocabulary(backend, "stop_token_ids", request.params.stop_tokens);
  if (request.timeout_s) {
    request.params.scheduling.deadline_ns = SteadyClock().now_ns() + static_cast<int64_t>(*request.timeout_s * 1e9);
  }
}

// One submission a choice: `n` of the first prompt, `n` of the second, ...; choice 0 has the seed that was asked for.
Generation make_generation(const Backend& backend, OpenAiRequest request, std::vector<std::vector<int32_t>> prompts,
                           bool chat, std::string model, const HttpRequest& http) {
  complete_params(backend, request);
  AnswerFacts facts{.chat = chat,
                    .stream = request.stream,
                    .include_usage = request.include_usage,
                    .continuous_usage = request.continuous_usage,
                    .logprobs = request.logprobs,
                    .id = (chat ? "chatcmpl-" : "cmpl-") + request_id(""),
                    .model = std::move(model),
                    .created = std::time(nullptr),
                    .choices = prompts.size() * request.n,
                    .choices_per_prompt = request.n,
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
  for (const std::string& name : backend.names) list.push_back(model_entry(backend, name));
  return HttpReply{.body = dump({{"object", "list"}, {"data", std::move(list)}})};
}

Outcome get_model(const Backend& backend, const HttpRequest& request) {
  const std::string name = percent_decoded(std::string_view(request.path).substr(kModelPath.size()));
  if (std::find(backend.names.begin(), backend.names.end(), name) == backend.names.end()) {
    throw ApiError(404, "there is no model '" + printable(name) + "' here", "model_not_found", "model");
  }
  return HttpReply{.body = dump(model_entry(backend, name))};
}

Outcome chat_completions(const Backend& backend, const HttpRequest& http) {
  OpenAiRequest request = parse_openai_request(http.body, kChat);
  report_unknown(request.unknown_fields);
  std::string model = served_model(backend, request);
  check_queue(backend);
  std::vector<int32_t> tokens = conversation_tokens(backend, request, http.body);
  check_prompt(backend, "messages", tokens);
  return make_generation(backend, std::move(request), {std::move(tokens)}, true, std::move(model), http);
}

Outcome completions(const Backend& backend, const HttpRequest& http) {
  OpenAiRequest request = parse_openai_request(http.body, kCompletions);
  report_unknown(request.unknown_fields);
  std::string model = served_model(backend, request);
  check_queue(backend);
  std::vector<std::vector<int32_t>> prompts;
  for (Prompt& prompt : request.prompts) {
    if (auto* ids = std::get_if<std::vector<int32_t>>(&prompt)) {
      prompts.push_back(std::move(*ids));
    } else {
      prompts.push_back(text_tokens(backend, request, std::get<std::string>(prompt)));
    }
    check_prompt(backend, "prompt", prompts.back());
  }
  return make_generation(backend, std::move(request), std::move(prompts), false, std::move(model), http);
}

}  // namespace tern
