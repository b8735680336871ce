#include "server/router.h"

#include <array>

#include "server/api_error.h"
#include "server/metrics.h"
#include "server/openai.h"
#include "server/openapi.h"
#include "server/server_facts.h"
#include "server/tokenize.h"

namespace tern {
namespace {

constexpr std::array kRoutes{
    Route{"GET", "/health", true, false, health, "200 when the server answers requests", kNoBody, "Status"},
    Route{"GET", "/ping", false, false, health, "the same, for balancers that ask here", kNoBody, "Status"},
    Route{"GET", "/metrics", false, false, metrics, "counts and times, as Prometheus reads them"},
    Route{"GET", "/v1/models", false, false, list_models, "the names of the model", kNoBody, "ModelList"},
    Route{"GET", "/v1/models/{model}", false, false, get_model, "one of them", kNoBody, "Model"},
    Route{"POST", "/v1/chat/completions", false, true, chat_completions, "the next message of a conversation", kChat,
          "ChatCompletion"},
    Route{"POST", "/v1/completions", false, true, completions, "the continuation of a text", kCompletions,
          "Completion"},
    Route{"POST", "/tokenize", false, true, tokenize, "the tokens that the model would read", kTokenize, "Tokens"},
    Route{"POST", "/detokenize", false, true, detokenize, "the text of tokens", kDetokenize, "Text"},
    Route{"GET", "/load", false, false, load, "how many requests run or wait", kNoBody, "Load"},
    Route{"GET", "/version", false, false, version, "tern's version", kNoBody, "Version"},
    Route{"GET", "/openapi.json", false, true, openapi_document, "this API as an OpenAPI 3.1 document", kNoBody,
          "Document"},
};

bool matches(const Route& route, std::string_view path) {
  const size_t name = route.path.find('{');
  if (name == std::string_view::npos) return route.path == path;
  return path.size() > name && path.starts_with(route.path.substr(0, name));
}

bool takes(const Route& route, std::string_view method) {
  return route.method == method || (route.method == "GET" && method == "HEAD");
}

std::string allowed_methods(std::string_view path) {
  std::string methods;
  for (const Route& route : kRoutes) {
    if (!matches(route, path)) continue;
    methods.append(route.method).append(route.method == "GET" ? ", HEAD, " : ", ");
  }
  return methods + "OPTIONS";
}

Outcome options(const Backend&, const HttpRequest& request) {
  return HttpReply{.content_type = "text/plain", .headers = {{"Allow", allowed_methods(request.path)}}};
}

constexpr Route kOptions{"OPTIONS", "", false, false, options, "the methods of a path"};

}  // namespace

std::span<const Route> routes() { return kRoutes; }

bool is_probe(const Route& route) { return route.handle == health; }

const Route& find_route(const HttpRequest& request, bool authorized) {
  const Route* found = nullptr;
  bool known = false, open = false;
  for (const Route& route : kRoutes) {
    if (!matches(route, request.path)) continue;
    known = true;
    open = open || route.open;
    if (found == nullptr && takes(route, request.method)) found = &route;
  }
  if (!open && !authorized) {
    throw ApiError(401, "the API key is missing or wrong: send the header 'Authorization: Bearer KEY'",
                   "invalid_api_key");
  }
  if (!known) throw ApiError(404, "there is no route " + printable(request.path), "unknown_route");
  if (found != nullptr) return *found;
  if (request.method == "OPTIONS") return kOptions;
  const std::string allowed = allowed_methods(request.path);
  throw ApiError(405, "this path takes " + allowed + ", not " + printable(request.method), "method_not_allowed")
      .with_header("Allow", allowed);
}

Outcome answer(const Route& route, const Backend& backend, const HttpRequest& request) {
  Outcome outcome;
  try {
    outcome = route.handle(backend, request);
  } catch (...) {
    outcome = api_error(std::current_exception(), request.id).reply();
  }
  if (auto* reply = std::get_if<HttpReply>(&outcome)) reply->head_only = request.method == "HEAD";
  return outcome;
}

}  // namespace tern
