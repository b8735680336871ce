// Feeds a model's runner with made-up tokens of several sequences, each with KV blocks of its own, beside the engine:
// what `tern bench` times. Owned by a benchmark; the thread that drives the model.
#pragma once

#include <cstdint>
#include <vector>

#include "api/model.h"
#include "engine/batch.h"

namespace tern {

class TokenFeeder {
 public:
  // Throws a bad-input line when the KV pool does not hold `sequences` of `tokens_each`.
  TokenFeeder(Model& model, int64_t sequences, int64_t tokens_each);

  void restart() { rewind(0); }
  // Forgets all but the first `depth` tokens of every sequence.
  void rewind(int64_t depth);
  // Gives every sequence `depth` tokens of history: computed for the first, copied to the others.
  void fill(int64_t depth);
  // `count` more tokens of every sequence, in steps of the largest allowed batch.
  void advance(int64_t count);
  // One step of `tokens` tokens of every sequence.
  void step(int64_t tokens, bool wants_logits);
  // Of the last step.
  const Batch& batch() const { return batch_; }

 private:
  int64_t block_tokens() const { return model_.options().block_tokens; }

  Model& model_;
  int64_t blocks_each_;
  size_t running_;  // sequences that take part in a step
  std::vector<int64_t> history_;
  std::vector<int32_t> blocks_;
  Batch batch_;
  uint64_t counter_ = 0;
};

}  // namespace tern
