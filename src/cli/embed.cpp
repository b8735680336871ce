// tern embed MODEL TEXT...: a vector of each text, by an encoder.
#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "api/text_embedder.h"
#include "cli/options.h"
#include "cli/subcommands.h"
#include "core/error.h"

namespace tern {
namespace {

struct EmbedOptions {
  ModelOptions model;
  std::vector<std::string> texts;
  bool truncate = false;
  bool json = false;
};

// "-": a text a line of standard input.
std::vector<std::string> texts_of(const EmbedOptions& options) {
  if (options.texts != std::vector<std::string>{"-"}) return options.texts;
  std::vector<std::string> lines;
  for (std::string line; std::getline(std::cin, line);) lines.push_back(line);
  if (lines.empty()) bad_input("[embed] standard input has no line");
  return lines;
}

void print_json(const std::vector<std::vector<float>>& vectors, int64_t tokens) {
  nlohmann::ordered_json out;
  out["embeddings"] = vectors;
  out["dimensions"] = vectors[0].size();
  out["tokens"] = tokens;
  std::printf("%s\n", out.dump().c_str());
}

void run_embed(const EmbedOptions& options) {
  const std::vector<std::string> texts = texts_of(options);
  LoadOptions load;
  load.threads = options.model.threads;
  const auto embedder = TextEmbedder::load(options.model.path(PullMode::kNever), load);
  std::vector<std::vector<int32_t>> ids;
  int64_t tokens = 0;
  for (const std::string& text : texts) {
    ids.push_back(embedder->tokens(text, options.truncate));
    tokens += static_cast<int64_t>(ids.back().size());
  }
  const auto vectors = embedder->embed(ids);
  if (options.json) return print_json(vectors, tokens);
  for (const std::vector<float>& vector : vectors) {
    for (size_t i = 0; i < vector.size(); ++i) std::printf("%s%.7g", i > 0 ? " " : "", static_cast<double>(vector[i]));
    std::printf("\n");
  }
}

}  // namespace

void Subcommands::add_embed(CLI::App& app) {
  auto options = std::make_shared<EmbedOptions>();
  CLI::App* command = app.add_subcommand("embed", "Show the vectors of texts (models that are encoders)");
  options->model.add_model(*command);
  command->add_option("TEXT", options->texts, "The texts; - reads one a line from standard input")->required();
  command->add_option("-t,--threads", options->model.threads, "Threads; 0: as many as the process may use");
  command->add_flag("--truncate", options->truncate, "Texts longer than the model's context are cut, not refused");
  command->add_flag("--json", options->json, "As one JSON object: embeddings, dimensions, tokens");
  command->callback([options] { run_embed(*options); });
}

}  // namespace tern
