#include "server/serve.h"

#include <fmt/core.h>

#include <ctime>
#include <filesystem>
#include <optional>

#include "server/http_server.h"

namespace tern {
namespace {

constexpr std::chrono::milliseconds kFailureGrace{1000};  // for the last error events

// The file's or folder's name, from "[gguf] path".
std::string default_name(const Model& model) {
  const std::string& source = model.facts().checkpoint->metadata.source();
  const size_t path = source.find("] ");
  const std::filesystem::path file(path == std::string::npos ? source : source.substr(path + 2));
  const std::string name = file.has_filename() ? file.filename().string() : file.parent_path().filename().string();
  return name.empty() ? "model" : name;
}

}  // namespace

int serve(Service& service, const Model& model, const ServerOptions& options) {
  Backend backend{.model = model, .service = service, .names = options.served_names, .created = std::time(nullptr)};
  if (backend.names.empty()) backend.names.push_back(default_name(model));
  const std::string name = backend.names.front();

  HttpServer server(service, std::move(backend), options);
  server.stop_on_signals();
  std::optional<Error> failure;  // written by the engine thread, read after it is joined
  service.on_failure([&](const Error& error) {
    failure = error;
    fmt::print(stderr, "tern: {}\n", printable(error.what(), 500));
    server.stop(kFailureGrace);
  });
  fmt::print("tern is listening on http://{}/v1 (model {})\n", server.address(), name);
  std::fflush(stdout);
  server.run();
  service.stop();
  return failure ? static_cast<int>(failure->code()) : 0;
}

}  // namespace tern
