// Small routes about the server itself: version, load. Any thread.
#pragma once

#include "server/exchange.h"

namespace tern {

Outcome version(const Backend& backend, const HttpRequest& request);
Outcome load(const Backend& backend, const HttpRequest& request);

}  // namespace tern
