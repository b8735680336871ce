// tern eval: how good a model's numbers are. logits writes them all; perplexity scores a text.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "api/model.h"
#include "cli/options.h"
#include "cli/subcommands.h"
#include "core/error.h"
#include "engine/sampler.h"
#include "engine/scoring.h"

namespace tern {
namespace {

// Rows of logits computed at once: enough to fill the products, little enough to stay small at 150k words.
constexpr int64_t kScoredRows = 64;

struct EvalOptions {
  ModelOptions model;
  std::string ids_file;
  std::string output;
  std::string text_file;
  int64_t ctx = 512;
  int64_t chunks = 0;
  bool json = false;
};

std::unique_ptr<Model> load_for_scoring(const EvalOptions& options, int64_t context) {
  LoadOptions load = options.model.load_options(1);
  load.max_rows = kScoredRows;
  if (options.model.max_model_len.empty()) load.max_model_len = context;
  return Model::load(options.model.path(PullMode::kFetch), load);
}

ScoringLimits limits_of(const Model& model) {
  return {model.options().max_batched_tokens, model.options().max_rows, model.options().block_tokens};
}

// A JSON array of ids, or ids separated by white space.
std::vector<int32_t> read_ids(const std::string& path) {
  std::string text = read_file(path);
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos || text[first] != '[') {
    std::replace_if(text.begin(), text.end(), [](unsigned char c) { return std::isspace(c) != 0; }, ',');
    text.erase(std::unique(text.begin(), text.end(), [](char a, char b) { return a == ',' && b == ','; }), text.end());
    if (!text.empty() && text.front() == ',') text.erase(0, 1);
    if (!text.empty() && text.back() == ',') text.pop_back();
    text = "[" + text + "]";
  }
  const nlohmann::json ids = nlohmann::json::parse(text, nullptr, false);
  const bool whole = ids.is_array() && std::all_of(ids.begin(), ids.end(), [](const nlohmann::json& id) {
                       return id.is_number_integer() && id >= 0 && id <= INT32_MAX;
                     });
  if (!whole) bad_input("[eval] " + printable(path) + " holds no list of token ids");
  return ids.get<std::vector<int32_t>>();
}

void check_ids(const std::vector<int32_t>& ids, const Model& model) {
  if (ids.empty()) bad_input("[eval] there are no token ids");
  for (int32_t id : ids) {
    if (id >= model.config().vocabulary)
      bad_input(fmt::format("[eval] token {} is not in the vocabulary of {}", id, model.config().vocabulary));
  }
  if (static_cast<int64_t>(ids.size()) > model.options().max_model_len) {
    bad_input(fmt::format("[eval] {} tokens exceed the context of {}", ids.size(), model.options().max_model_len));
  }
}

void run_logits(const EvalOptions& options) {
  const std::vector<int32_t> ids = read_ids(options.ids_file);
  const auto model = load_for_scoring(options, std::max<int64_t>(static_cast<int64_t>(ids.size()), 1));
  check_ids(ids, *model);
  std::ofstream out(options.output, std::ios::binary);
  score(model->runner(), limits_of(*model), ids, 0, [&](int64_t, std::span<const float> logits) {
    out.write(reinterpret_cast<const char*>(logits.data()), static_cast<std::streamsize>(logits.size_bytes()));
  });
  out.close();
  if (!out) fail(ErrorCode::kFailed, "[eval] " + printable(options.output) + " cannot be written");
  std::fprintf(stderr, "%zu x %lld float32 logits\n", ids.size(), static_cast<long long>(model->config().vocabulary));
}

struct Perplexity {
  double sum = 0, squares = 0;
  int64_t tokens = 0, chunks = 0;

  void add(double nll) {
    sum += nll;
    squares += nll * nll;
    ++tokens;
  }
  double mean() const { return sum / static_cast<double>(tokens); }
  double standard_error() const {
    const double n = static_cast<double>(tokens);
    return tokens < 2 ? 0 : std::sqrt(std::max(squares / n - mean() * mean(), 0.0) / (n - 1));
  }
};

// As llama-perplexity: the text's tokens in chunks of ctx, the first one BOS where the model adds it; of each chunk the
// second half is scored, each token given all before it in the chunk.
Perplexity perplexity(Model& model, const std::vector<int32_t>& ids, int64_t ctx, int64_t max_chunks) {
  Perplexity total;
  const int64_t available = static_cast<int64_t>(ids.size()) / ctx;
  total.chunks = max_chunks > 0 ? std::min(max_chunks, available) : available;
  for (int64_t chunk = 0; chunk < total.chunks; ++chunk) {
    std::vector<int32_t> window(ids.begin() + chunk * ctx, ids.begin() + (chunk + 1) * ctx);
    if (model.tokenizer()->adds_bos() && model.tokenizer()->bos()) window[0] = *model.tokenizer()->bos();
    score(model.runner(), limits_of(model), window, ctx / 2, [&](int64_t position, std::span<const float> logits) {
      if (position + 1 < ctx)
        total.add(log_sum_exp(logits) -
                  static_cast<double>(logits[static_cast<size_t>(window[static_cast<size_t>(position) + 1])]));
    });
  }
  return total;
}

void run_perplexity(const EvalOptions& options) {
  const auto model = load_for_scoring(options, options.ctx);
  std::string text = read_file(options.text_file);
  if (text.ends_with('\n')) text.pop_back();  // as llama-perplexity reads a file
  const std::vector<int32_t> ids = text_prompt(*model, text);
  if (options.ctx > model->options().max_model_len) {
    bad_input(fmt::format("[eval] --ctx {} exceeds the context of {}", options.ctx, model->options().max_model_len));
  }
  if (static_cast<int64_t>(ids.size()) < options.ctx) {
    bad_input(fmt::format("[eval] the text has {} tokens, one chunk needs {}", ids.size(), options.ctx));
  }
  const Perplexity result = perplexity(*model, ids, options.ctx, options.chunks);
  if (!std::isfinite(result.sum)) {
    fail(ErrorCode::kFailed, model->facts().checkpoint->metadata.source() + ": the model's logits are not finite");
  }
  if (options.json) {
    nlohmann::ordered_json out{{"ppl", std::exp(result.mean())},    {"nll_mean", result.mean()},
                               {"nll_se", result.standard_error()}, {"tokens", result.tokens},
                               {"chunks", result.chunks},           {"ctx", options.ctx}};
    std::printf("%s\n", out.dump().c_str());
  } else {
    std::printf("perplexity %.4f +- %.4f over %lld tokens in %lld chunks of %lld\n", std::exp(result.mean()),
                std::exp(result.mean()) * result.standard_error(), static_cast<long long>(result.tokens),
                static_cast<long long>(result.chunks), static_cast<long long>(options.ctx));
  }
}

}  // namespace

void Subcommands::add_eval(CLI::App& app) {
  auto options = std::make_shared<EvalOptions>();
  CLI::App* command = app.add_subcommand("eval", "Measure a model's numbers");
  command->require_subcommand(1);
  CLI::App* logits = command->add_subcommand("logits", "Write the logits of every position as float32");
  options->model.add_model(*logits);
  options->model.add_load(*logits);
  logits->add_option("--ids", options->ids_file, "File with token ids")->required();
  logits->add_option("-o,--output", options->output, "float32 [tokens, vocabulary]")->required();
  logits->callback([options] { run_logits(*options); });
  CLI::App* ppl = command->add_subcommand("perplexity", "Score a text as llama-perplexity does");
  options->model.add_model(*ppl);
  options->model.add_load(*ppl);
  ppl->add_option("FILE,-f,--file", options->text_file, "The text")->required();
  ppl->add_option("--ctx", options->ctx, "Tokens a chunk")->check(CLI::Range(8, 1 << 20));
  ppl->add_option("--chunks", options->chunks, "Chunks at most; 0: all")->check(CLI::Range(0, 1 << 30));
  ppl->add_flag("--json", options->json, "As one JSON object");
  ppl->callback([options] { run_perplexity(*options); });
}

}  // namespace tern
