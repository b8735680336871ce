// `tern serve`: a model behind an OpenAI-compatible server, until a signal ends it.
#pragma once

#include <functional>
#include <memory>

#include "api/service.h"
#include "server/server_options.h"

namespace tern {

// Listens at once, so that who asks while `load` runs hears that the model is loading. Prints one line when it is
// ready. Returns the process's exit code: 0 after SIGINT or SIGTERM, the error's when the engine failed. Throws when it
// cannot listen, and what `load` throws.
int serve(const std::function<std::unique_ptr<Model>()>& load, const ServerOptions& options);

}  // namespace tern
