// Who answers what: one table of routes, and the checks that come before any of them.
//
// Every route but the open ones denies without the API key when there is one. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "server/exchange.h"
#include "server/request_fields.h"

namespace tern {

struct Route {
  std::string_view method, path;  // a path may end in one {name}, which stands for any text
  bool open;                      // answers without an API key
  bool heavy;                     // reads much or tokenizes: not on the thread that serves the sockets
  Outcome (*handle)(const Backend& backend, const HttpRequest& request);
  std::string_view meaning;
  Endpoints body = kNoBody;     // whose fields it takes
  std::string_view reply = "";  // the schema of its JSON, in openapi_schemas.cpp; "": no JSON
};

std::span<const Route> routes();

// Asks whether requests are served: refused while the server drains, and not worth a line of the log when it succeeds.
bool is_probe(const Route& route);

// The route of a request whose header has been read; throws an ApiError (401, 404, 405). HEAD takes GET's routes,
// OPTIONS is answered for every path that there is.
// `authorized`: it has a good API key, or none is asked for.
const Route& find_route(const HttpRequest& request, bool authorized);

// The route's answer; whatever it throws becomes a reply.
Outcome answer(const Route& route, const Backend& backend, const HttpRequest& request);

}  // namespace tern
