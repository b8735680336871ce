#include "server/router.h"

#include <array>

#include "server/api_error.h"
#include "server/openai.h"

namespace tern {
namespace {

constexpr std::array kRoutes{
    Route{"GET", "/health", true, false, health, "200 when the server answers requests"},
    Route{"GET", "/v1/models", false, false, list_models, "the names of the model"},
    Route{"POST", "/v1/chat/completions", false, true, chat_completions, "the next message of a conversation"},
    Route{"POST", "/v1/completions", false, true, completions, "the continuation of a text"},
};

}  // namespace

std::span<const Route> routes() { return kRoutes; }

const Route& find_route(const HttpRequest& request, std::string_view api_key) {
  const Route* by_path = nullptr;
  for (const Route& route : kRoutes) {
    if (route.path != request.path) continue;
    by_path = &route;
    if (route.method == request.method) break;
  }
  const bool open = by_path != nullptr && by_path->open;
  if (!open && !api_key.empty() && !key_matches(request.authorization, api_key)) {
    throw ApiError(401, "the API key is missing or wrong: send the header 'Authorization: Bearer KEY'",
                   "invalid_api_key");
  }
  if (by_path == nullptr) throw ApiError(404, "there is no route " + printable(request.path), "unknown_route");
  if (by_path->method != request.method) {
    throw ApiError(
        405,
        std::string(by_path->path) + " takes " + std::string(by_path->method) + ", not " + printable(request.method),
        "method_not_allowed");
  }
  return *by_path;
}

Outcome answer(const Route& route, const Backend& backend, const HttpRequest& request) {
  try {
    return route.handle(backend, request);
  } catch (...) {
    return api_error(std::current_exception(), request.id).reply();
  }
}

bool key_matches(std::string_view authorization, std::string_view api_key) {
  constexpr std::string_view kScheme = "Bearer ";
  if (authorization.substr(0, kScheme.size()) != kScheme) return false;
  const std::string_view given = authorization.substr(kScheme.size());
  unsigned difference = given.size() == api_key.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i) {
    difference |= static_cast<unsigned char>(given[i]) ^ static_cast<unsigned char>(api_key[i % api_key.size()]);
  }
  return difference == 0;
}

}  // namespace tern
