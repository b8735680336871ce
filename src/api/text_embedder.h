// Vectors of texts by an encoder (BERT, MiniLM): the model opened, its tokenizer, and the embedder that runs them. On
// the CPU, with keys and values in f32, which live for a step alone. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/model.h"
#include "engine/embedder.h"

namespace tern {

class TextEmbedder {
 public:
  // Takes threads, kernels and pack_cache of `options`. Throws a bad-input line for a model that writes text, or
  // without a tokenizer that tern reads.
  static std::unique_ptr<TextEmbedder> load(const std::string& model, const LoadOptions& options);

  // With the control tokens around it that the model was trained with. A text of more than max_tokens() is cut at its
  // end where `truncate` says so; otherwise embed() refuses it.
  std::vector<int32_t> tokens(std::string_view text, bool truncate) const;
  // Of each text a vector of length 1, in order: [texts][hidden].
  std::vector<std::vector<float>> embed(std::span<const std::vector<int32_t>> texts) { return embedder_->embed(texts); }
  int64_t max_tokens() const { return embedder_->max_tokens(); }
  const ModelConfig& config() const { return facts_.config; }

 private:
  TextEmbedder() = default;

  ModelFacts facts_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::unique_ptr<Embedder> embedder_;
};

}  // namespace tern
