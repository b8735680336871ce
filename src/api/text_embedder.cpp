#include "api/text_embedder.h"

#include <algorithm>

#include "core/error.h"

namespace tern {
namespace {

constexpr int64_t kBatchedTokens = 2048;  // of a step: many short texts together, or one as long as the model's context

RunnerOptions runner_options(const ModelConfig& config, const LoadOptions& options) {
  const int64_t tokens = std::max(kBatchedTokens, config.context);
  RunnerOptions runner;
  runner.threads = options.threads;
  runner.max_batched_tokens = runner.max_rows = tokens;
  runner.max_model_len = config.context;
  runner.kv_tokens = 2 * tokens;  // each text begins a block of its own
  runner.kv_format = Format::kF32;
  runner.kernels = options.kernels;
  runner.pool = ThreadPoolOptions::from_environment();
  runner.pack_cache = options.pack_cache;
  return runner;
}

}  // namespace

std::unique_ptr<TextEmbedder> TextEmbedder::load(const std::string& model, const LoadOptions& options) {
  std::unique_ptr<TextEmbedder> out(new TextEmbedder);
  out->facts_ = ModelFacts::read(model, Weights::kReady, options.threads);
  const ModelFacts& facts = out->facts_;
  if (facts.config.causal) {
    bad_input(facts.checkpoint->metadata.source() + ": writes text and makes no vectors; encoders do (BERT, MiniLM)");
  }
  out->tokenizer_ = facts.tokenizer();
  const RunnerOptions runner = runner_options(facts.config, options);
  out->embedder_ = std::make_unique<Embedder>(make_cpu_runner(facts.checkpoint, facts.config, facts.lowered, runner),
                                              facts.config.pooling, runner);
  return out;
}

std::vector<int32_t> TextEmbedder::tokens(std::string_view text, bool truncate) const {
  std::vector<int32_t> ids = tokenizer_->encode(text, {.add_special = true, .parse_special = false});
  const auto most = static_cast<size_t>(max_tokens());
  if (!truncate || ids.size() <= most) return ids;
  const int32_t last = ids.back();
  ids.resize(most);
  if (tokenizer_->adds_eos()) ids.back() = last;
  return ids;
}

}  // namespace tern
