#include "server/serve.h"

#include <fmt/core.h>
#include <sys/resource.h>

#include <ctime>
#include <filesystem>
#include <optional>
#include <thread>

#include "server/http_server.h"
#include "server/log.h"

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

// As many descriptors as connections and the rest of the process may need, where the system allows it.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// The thread that serves the sockets, for as long as this lives: nothing may leave it running.
class ServerThread {
 public:
  explicit ServerThread(HttpServer& server) : server_(server), thread_([&server] { server.run(); }) {}
  ~ServerThread() {
    if (!thread_.joinable()) return;
    server_.stop(std::chrono::milliseconds(0));
    thread_.join();
  }
  ServerThread(const ServerThread&) = delete;
  ServerThread& operator=(const ServerThread&) = delete;
  void join() { thread_.join(); }

 private:
  HttpServer& server_;
  std::thread thread_;
};

}  // namespace

int serve(const std::function<std::unique_ptr<Model>()>& load, const ServerOptions& options) {
  raise_descriptor_limit();
  std::unique_ptr<Model> model;
  std::optional<Service> service;
  HttpServer server(options);
  LogLine(LogLevel::kInfo, "loading").add("address", server.address());
  ServerThread thread(server);
  model = load();

  service.emplace(*model, options.max_queued_requests);
  Backend backend{.model = *model, .service = *service, .names = options.served_names, .created = std::time(nullptr)};
  if (backend.names.empty()) backend.names.push_back(default_name(*model));
  const std::string name = backend.names.front();
  std::optional<Error> failure;  // written by the engine thread, read after it is joined
  service->on_failure([&](const Error& error) {
    failure = error;
    LogLine(LogLevel::kError, "the engine failed").add("reason", printable(error.what(), 500));
    server.stop(kFailureGrace);
  });
  server.open(*service, std::move(backend));
  server.stop_on_signals();
  fmt::print("tern is listening on {}/v1 (model {})\n", server.address(), name);
  std::fflush(stdout);
  LogLine(LogLevel::kInfo, "ready")
      .add("model", name)
      .add("load_ms", model->load_ms())
      .add("pack_cache", name_of(model->runner().pack_cache().state));
  thread.join();
  service->stop();
  LogLine(LogLevel::kInfo, "stopped");
  return failure ? static_cast<int>(failure->code()) : 0;
}

}  // namespace tern
