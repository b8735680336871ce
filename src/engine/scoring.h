// Logits of every position of a given text: what evaluation needs and generation does not. Drives a runner directly, so
// no engine may be running sequences on it at the same time.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "engine/runner/runner.h"

namespace tern {

struct ScoringLimits {
  int64_t max_batched_tokens;
  int64_t max_rows;
  int64_t block_tokens;
};

// Runs `ids` from an empty history in chunks of at most min(max_batched_tokens, max_rows) tokens and calls `sink` for
// each position from `first` on, in order. Throws a bad-input error when the text does not fit the KV pool.
void score(Runner& runner, const ScoringLimits& limits, std::span<const int32_t> ids, int64_t first,
           const std::function<void(int64_t position, std::span<const float> logits)>& sink);

}  // namespace tern
