#include "server/tokenize.h"

#include <nlohmann/json.hpp>

#include "server/api_error.h"
#include "server/prompt_tokens.h"
#include "text/utf8.h"

namespace tern {
namespace {

using nlohmann::json;

HttpReply reply(const json& body) { return {.body = body.dump(-1, ' ', false, json::error_handler_t::replace)}; }

void need_tokenizer(const Backend& backend, const char* param) {
  if (backend.model.tokenizer() != nullptr) return;
  refuse(param, std::string("'") + param + "' needs a tokenizer, which the model's file does not have", "no_tokenizer");
}

}  // namespace

Outcome tokenize(const Backend& backend, const HttpRequest& http) {
  const OpenAiRequest request = parse_openai_request(http.body, kTokenize);
  report_unknown(request.unknown_fields);
  served_model(backend, request);
  need_tokenizer(backend, request.has_messages ? "messages" : "prompt");
  const std::vector<int32_t> tokens =
      request.has_messages ? conversation_tokens(backend, request, http.body)
                           : text_tokens(backend, request, std::get<std::string>(request.prompts.front()));
  json body = {{"count", tokens.size()}, {"max_model_len", backend.service.context_tokens()}, {"tokens", tokens}};
  if (request.return_token_strs) {
    json& strings = body["token_strs"] = json::array();
    for (const int32_t id : tokens) strings.push_back(backend.model.tokenizer()->piece(id));
  }
  return reply(body);
}

Outcome detokenize(const Backend& backend, const HttpRequest& http) {
  const OpenAiRequest request = parse_openai_request(http.body, kDetokenize);
  report_unknown(request.unknown_fields);
  served_model(backend, request);
  need_tokenizer(backend, "tokens");
  check_vocabulary(backend, "tokens", request.tokens);
  return reply({{"prompt", replace_invalid_utf8(backend.model.tokenizer()->decode(request.tokens, true))}});
}

}  // namespace tern
