// tern serve MODEL: an OpenAI-compatible server.
#include "server/serve.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "cli/options.h"
#include "cli/subcommands.h"
#include "core/limits.h"
#include "server/api_reference.h"
#include "server/cors.h"
#include "server/log.h"

namespace tern {
namespace {

// Sequences answered at once unless --max-num-seqs says otherwise: the KV pool holds so many of full length.
constexpr int64_t kServedSequences = 16;
// A step's time with a prompt in it unless --max-step-ms says otherwise: what a running answer waits for at most.
constexpr int64_t kServedStepMs = 100;

struct ServeOptions {
  ModelOptions model;
  ServerOptions server;
  std::vector<std::string> api_keys;
  std::string api_key_file;
  std::string log_level = "info", log_format = "text";
  double shutdown_seconds = 30;
};

std::vector<std::string> parts(const std::vector<std::string>& lists) {
  std::vector<std::string> out;
  for (const std::string& list : lists) {
    for (size_t at = 0; at <= list.size();) {
      const size_t end = std::min(list.find(',', at), list.size());
      out.push_back(list.substr(at, end - at));
      at = end + 1;
    }
  }
  return out;
}

// What the flags' own checks do not see.
void complete(ServeOptions& options) {
  ServerOptions& server = options.server;
  for (const std::string& list : options.api_keys) server.api_keys.add_list(list);
  if (!options.api_key_file.empty()) server.api_keys.add_lines(read_file(options.api_key_file));
  server.allowed_origins = parts(server.allowed_origins);
  for (const std::string& origin : server.allowed_origins) check_origin(origin);
  if (server.tls_certificate_file.empty() != server.tls_key_file.empty()) {
    bad_input("[options] --ssl-certfile and --ssl-keyfile go together");
  }
  server.drain_deadline = std::chrono::milliseconds(static_cast<int64_t>(options.shutdown_seconds * 1000));
  configure_log(*log_level_of(options.log_level), *log_format_of(options.log_format));
}

int run_serve(ServeOptions& options) {
  complete(options);
  const std::string path = options.model.path(PullMode::kFetch);  // before the server starts, never inside it
  if (options.server.served_names.empty() && options.model.model != path) {
    options.server.served_names = {options.model.model, std::filesystem::path(path).filename().string()};
  }
  LoadOptions load = options.model.load_options(kServedSequences);
  if (options.model.max_step_ms < 0) load.max_step_ms = kServedStepMs;
  load.pack_cache.warn = [](const std::string& reason) {
    LogLine(LogLevel::kWarning, "packed weights are not kept").add("reason", reason);
  };
  return serve([&] { return Model::load(path, load); }, options.server);
}

void add_access(CLI::App& command, ServeOptions& options) {
  ServerOptions& server = options.server;
  command
      .add_option("--api-key", options.api_keys,
                  "Key that every route but /health asks for; repeatable, or several with commas")
      ->envname("TERN_API_KEY")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command.add_option("--api-key-file", options.api_key_file, "File with one key a line, as KEY or NAME:KEY")
      ->envname("TERN_API_KEY_FILE");
  command.add_flag("--shared-prefix-cache", server.shared_prefix_cache,
                   "Let requests with different API keys use each other's cached prefixes");
  command.add_option("--ssl-certfile", server.tls_certificate_file, "Certificate with its chain, in PEM: TLS");
  command.add_option("--ssl-keyfile", server.tls_key_file, "Its key, in PEM without a passphrase");
  command
      .add_option("--allowed-origins,--cors-origins", server.allowed_origins,
                  "Web origins whose pages may read answers, with commas; *: all; default: none")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void add_limits(CLI::App& command, ServeOptions& options) {
  ServerOptions& server = options.server;
  command.add_option("--max-queued-requests", server.max_queued_requests, "Requests that may wait; further ones: 429")
      ->check(CLI::Range(1, 1 << 20));
  command.add_option("--max-connections", server.max_connections, "Open connections; further ones: 503")
      ->check(CLI::Range(1, 1 << 20));
  command
      .add_option("--shutdown-timeout", options.shutdown_seconds,
                  "Seconds that running answers have after SIGTERM or SIGINT")
      ->check(CLI::Range(0.0, 86'400.0));
}

void add_reports(CLI::App& command, ServeOptions& options) {
  const auto known = [](auto find) {
    return [find](const std::string& name) { return find(name) ? std::string() : "\"" + name + "\" is not known"; };
  };
  command.add_option("--log-level", options.log_level, "debug, info, warning, error or off")
      ->envname("TERN_LOG_LEVEL")
      ->check(known(log_level_of));
  command.add_option("--log-format", options.log_format, "text (logfmt) or json")
      ->envname("TERN_LOG_FORMAT")
      ->check(known(log_format_of));
  command.add_option("--metrics-prefix", options.server.metrics_prefix, "What metrics are called: PREFIX:name")
      ->check([](const std::string& name) {
        const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
        return !name.empty() && std::all_of(name.begin(), name.end(), fits) ? "" : "only letters and _ are allowed";
      });
}

}  // namespace

void Subcommands::add_serve(CLI::App& app) {
  auto options = std::make_shared<ServeOptions>();
  ServerOptions& server = options->server;
  CLI::App* command = app.add_subcommand("serve", "Serve a model over HTTP, compatible with OpenAI's API");
  options->model.add_model(*command);
  options->model.add_load(*command);
  command->add_option("--host", server.host, "Address to listen on")->envname("TERN_HOST");
  command->add_option("--port", server.port, "Port; 0: a free one, which is printed")->envname("TERN_PORT");
  command->add_option("-a,--served-model-name,--alias", server.served_names, "What requests may call the model");
  add_access(*command, *options);
  add_limits(*command, *options);
  add_reports(*command, *options);
  command->add_flag_callback(
      "--help-fields",
      [] {
        std::printf("%s", api_reference().c_str());
        throw CLI::Success();
      },
      "Print routes, request fields, error codes and limits");
  command->footer("Limits on what clients send (tern --help-limits has all):\n" + limits_text(LimitScope::kRequest));
  command->callback([this, options] { exit_code = run_serve(*options); });
}

}  // namespace tern
