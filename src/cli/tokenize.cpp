// tern tokenize MODEL TEXT: what the tokenizer makes of a text.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "api/model.h"
#include "cli/options.h"
#include "cli/subcommands.h"
#include "core/error.h"
#include "model/archs/arch.h"

namespace tern {
namespace {

struct TokenizeOptions {
  ModelOptions model;
  std::string text;
  std::string lines;
  bool json = false;
  bool no_special = false;
  bool plain = false;
};

nlohmann::ordered_json tokens_json(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  auto pieces = nlohmann::ordered_json::array();
  for (int32_t id : ids) pieces.push_back(std::string(tokenizer.piece(id)));
  nlohmann::ordered_json out;
  out["ids"] = ids;
  out["pieces"] = std::move(pieces);
  return out;
}

void print(const nlohmann::ordered_json& value) {
  std::printf("%s\n", value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

void run_tokenize(const TokenizeOptions& options, bool has_text) {
  const auto checkpoint = open_model(options.model.path(PullMode::kNever), Weights::kUnread);
  const auto tokenizer = tokenizer_of(*checkpoint);
  const EncodeOptions encode{.add_special = !options.no_special, .parse_special = !options.plain};
  if (!options.lines.empty()) {
    std::istringstream file(read_file(options.lines));
    for (std::string line; std::getline(file, line);) {
      const nlohmann::json text = nlohmann::json::parse(line, nullptr, false);
      if (!text.is_string())
        bad_input("[tokenize] " + printable(options.lines) + ": a line is not a JSON string: " + printable(line));
      print(tokens_json(*tokenizer, tokenizer->encode(text.get<std::string>(), encode)));
    }
    return;
  }
  if (!has_text) bad_input("[tokenize] a TEXT or --lines FILE is needed");
  const std::vector<int32_t> ids = tokenizer->encode(options.text, encode);
  if (options.json) return print(tokens_json(*tokenizer, ids));
  for (int32_t id : ids) std::printf("%7d  %s\n", id, std::string(tokenizer->piece(id)).c_str());
}

}  // namespace

void Subcommands::add_tokenize(CLI::App& app) {
  auto options = std::make_shared<TokenizeOptions>();
  CLI::App* command = app.add_subcommand("tokenize", "Show a text's tokens");
  options->model.add_model(*command);
  command->add_option("TEXT,--text", options->text, "The text");
  command->add_option("--lines", options->lines, "File with a JSON string a line, instead of TEXT");
  command->add_flag("--json", options->json, "As one JSON object");
  command->add_flag("--no-special", options->no_special, "Add no BOS or EOS");
  command->add_flag("--plain", options->plain, "Control tokens in the text are data");
  command->callback([options, command] { run_tokenize(*options, command->count("TEXT") > 0); });
}

}  // namespace tern
