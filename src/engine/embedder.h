// Vectors of texts by an encoder: drives a runner directly, so no engine may be running sequences on it. One thread at
// a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/runner/runner.h"
#include "model/config.h"

namespace tern {

class Embedder {
 public:
  // `runner` of a program that ends in an entry "hidden", made with these options: max_rows at least
  // max_batched_tokens.
  Embedder(std::unique_ptr<Runner> runner, Pooling pooling, const RunnerOptions& options);

  // Of each text's token ids a vector of length 1, in order: [texts][hidden]. As many texts a step as fit. Throws a
  // bad-input line for a text of no tokens, or of more than max_tokens().
  std::vector<std::vector<float>> embed(std::span<const std::vector<int32_t>> texts);
  int64_t max_tokens() const { return max_tokens_; }

 private:
  void fill(std::span<const std::vector<int32_t>> texts);
  std::vector<float> pool(std::span<const float> rows, size_t hidden) const;

  std::unique_ptr<Runner> runner_;
  Pooling pooling_;
  int64_t max_batched_tokens_, block_tokens_, max_tokens_;
  std::vector<int32_t> blocks_;  // 0, 1, 2, ...: texts of a step take them in turn
  Batch batch_;
};

}  // namespace tern
