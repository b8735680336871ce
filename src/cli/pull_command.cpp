// tern pull ALIAS: fetches a model of a manifest into the cache.
#include <cstdio>
#include <memory>

#include "cli/options.h"
#include "cli/subcommands.h"

namespace tern {
namespace {

struct PullOptions {
  std::string alias;
  std::string manifest;
};

}  // namespace

void Subcommands::add_pull(CLI::App& app) {
  auto options = std::make_shared<PullOptions>();
  CLI::App* command = app.add_subcommand("pull", "Fetch a model by its alias");
  command->add_option("ALIAS", options->alias, "An alias of the manifest; a path is printed as it is")->required();
  command->add_option("--manifest", options->manifest, "JSON file with more aliases");
  command->callback([options] {
    Manifest known = Manifest::shipped();
    if (!options->manifest.empty()) known.add(Manifest::read(options->manifest));
    const ModelRow* row = known.find(options->alias);
    // A path, or an error that lists the aliases; an alias is fetched, or checked when it is in the cache already.
    const std::string path = row != nullptr ? pull_model(*row) : resolve_model(options->alias, known, PullMode::kNever);
    std::printf("%s\n", path.c_str());
  });
}

}  // namespace tern
