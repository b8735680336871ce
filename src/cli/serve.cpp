// tern serve MODEL: an OpenAI-compatible server.
#include "server/serve.h"

#include <cstdio>
#include <filesystem>
#include <memory>

#include "cli/options.h"
#include "cli/subcommands.h"
#include "core/limits.h"
#include "server/api_reference.h"

namespace tern {
namespace {

// Sequences answered at once unless --max-num-seqs says otherwise: the KV pool holds so many of full length.
constexpr int64_t kServedSequences = 16;

struct ServeOptions {
  ModelOptions model;
  ServerOptions server;
};

int run_serve(ServeOptions& options) {
  const std::string path = options.model.path(PullMode::kFetch);  // before the server starts, never inside it
  const auto model = Model::load(path, options.model.load_options(kServedSequences));
  if (options.server.served_names.empty() && options.model.model != path) {
    options.server.served_names = {options.model.model, std::filesystem::path(path).filename().string()};
  }
  Service service(*model);
  return serve(service, *model, options.server);
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
  command->add_option("--api-key", server.api_key, "Asked for by every route but /health")->envname("TERN_API_KEY");
  command->add_option("-a,--served-model-name,--alias", server.served_names, "What requests may call the model");
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
