// Who answers what: one table of routes, and the checks that come before any of them.
//
// Every route but the open ones denies without the API key when there is one. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "server/exchange.h"

namespace tern {

struct Route {
  std::string_view method, path;
  bool open;   // answers without an API key
  bool heavy;  // reads much or tokenizes: not on the thread that serves the sockets
  Outcome (*handle)(const Backend& backend, const HttpRequest& request);
  std::string_view meaning;
};

std::span<const Route> routes();

// The route of a request whose header has been read; throws an ApiError (401, 404, 405). `authorized`: it has a good
// API key, or none is asked for.
const Route& find_route(const HttpRequest& request, bool authorized);

// The route's answer; whatever it throws becomes a reply.
Outcome answer(const Route& route, const Backend& backend, const HttpRequest& request);

}  // namespace tern
