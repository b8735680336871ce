// `tern serve`: a model behind an OpenAI-compatible server, until a signal ends it.
#pragma once

#include "api/service.h"
#include "server/server_options.h"

namespace tern {

// Prints one line when it is ready. Returns the process's exit code: 0 after SIGINT or SIGTERM, the error's when the
// engine failed. Stops the service. Throws when it cannot listen.
int serve(Service& service, const Model& model, const ServerOptions& options);

}  // namespace tern
