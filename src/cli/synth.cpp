// tern synth CONFIG: writes a synthetic model as a GGUF file, so that other programs can be measured on it too.
#include <fmt/core.h>

#include <cstdio>
#include <memory>

#include "cli/options.h"
#include "cli/progress.h"
#include "cli/subcommands.h"
#include "model/synthetic/known_shapes.h"
#include "model/synthetic/synthetic_model.h"

namespace tern {
namespace {

struct SynthOptions {
  std::string config;
  std::string type;
  std::optional<uint64_t> seed;
  std::string output;
  int threads = 0;
};

void run_synth(const SynthOptions& options) {
  SyntheticSpec spec = parse_synthetic(options.config);
  if (!options.type.empty()) spec.type = options.type;
  if (options.seed) spec.seed = *options.seed;
  const SyntheticModel model(spec);
  model.write(options.output, options.threads);
  fmt::print(stderr, "{}: {}, {}\n", options.output, to_string(spec), megabytes(model.file_bytes()));
}

}  // namespace

void Subcommands::add_synth(CLI::App& app) {
  auto options = std::make_shared<SynthOptions>();
  CLI::App* command =
      app.add_subcommand("synth", "Write a model of a real one's shape with random weights as a GGUF file");
  command->add_option("CONFIG", options->config, "A known shape, a config.json, a folder with one, or a GGUF file")
      ->required();
  command->add_option("--type", options->type, "Format of the weights; default: q4_k_m");
  command->add_option("--seed", options->seed, "Of the weights; default: 0");
  command->add_option("-o,--output", options->output, "The file to write")->required();
  command->add_option("-t,--threads", options->threads, "Worker threads; 0: all CPUs granted")
      ->check(CLI::Range(0, 1024));
  command->footer(
      "synth:CONFIG[:TYPE[:SEED]] is the same model wherever a MODEL is asked for, without a file.\n"
      "Shapes: " +
      known_shape_names() + "\nTypes: " + type_mix_names());
  command->callback([options] { run_synth(*options); });
}

}  // namespace tern
