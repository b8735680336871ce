#include "server/router.h"

#include <array>

#include "server/api_error.h"
#include "server/metrics.h"
#include "server/openai.h"

namespace tern {
namespace {

constexpr std::array kRoutes{
    Route{"GET", "/health", true, false, health, "200 when the server answers requests"},
    Route{"GET", "/ping", true, false, health, "the same"},
    Route{"GET", "/metrics", false, false, metrics, "counts and times, as Prometheus reads them"},
    Route{"GET", "/v1/models", false, false, list_models, "the names of the model"},
    Route{"POST", "/v1/chat/completions", false, true, chat_completions, "the next message of a conversation"},
    Route{"POST", "/v1/completions", false, true, completions, "the continuation of a text"},
};

}  // namespace

std::span<const Route> routes() { return kRoutes; }

const Route& find_route(const HttpRequest& request, bool authorized) {
  const Route* by_path = nullptr;
  for (const Route& route : kRoutes) {
    if (route.path != request.path) continue;
    by_path = &route;
    if (route.method == request.method) break;
  }
  const bool open = by_path != nullptr && by_path->open;
  if (!open && !authorized) {
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

}  // namespace tern
