// GET /openapi.json: the API as an OpenAPI 3.1 document, made of the tables of routes, request fields and error codes.
// Any thread.
#pragma once

#include "server/exchange.h"

namespace tern {

Outcome openapi_document(const Backend& backend, const HttpRequest& request);

}  // namespace tern
