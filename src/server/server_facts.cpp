#include "server/server_facts.h"

#include <fmt/core.h>

namespace tern {

Outcome version(const Backend&, const HttpRequest&) {
  return HttpReply{.body = fmt::format(R"({{"version":"{}"}})", TERN_VERSION)};
}

Outcome load(const Backend& backend, const HttpRequest&) {
  const EngineStats stats = backend.service.stats();
  return HttpReply{.body = fmt::format(R"({{"server_load":{}}})", stats.running + stats.waiting)};
}

}  // namespace tern
