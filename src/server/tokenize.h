// POST /tokenize and /detokenize, in vLLM's shapes: what the model would read, and what tokens say. Any thread.
#pragma once

#include "server/exchange.h"

namespace tern {

Outcome tokenize(const Backend& backend, const HttpRequest& request);
Outcome detokenize(const Backend& backend, const HttpRequest& request);

}  // namespace tern
