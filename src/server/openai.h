// The routes of OpenAI's API: from a request to what the engine has to do, without sockets. Any thread.
#pragma once

#include "server/exchange.h"

namespace tern {

Outcome health(const Backend& backend, const HttpRequest& request);
Outcome list_models(const Backend& backend, const HttpRequest& request);
Outcome get_model(const Backend& backend, const HttpRequest& request);
Outcome chat_completions(const Backend& backend, const HttpRequest& request);
Outcome completions(const Backend& backend, const HttpRequest& request);

}  // namespace tern
