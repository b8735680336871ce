// Prompts of a wanted length in tokens, as text, since not every server takes token ids: random words that are one
// token each in most vocabularies, corrected by what the server itself counts. Pure functions of the seed.
#pragma once

#include <cstdint>
#include <string>

#include "cli/bench_serve_plan.h"

namespace tern {

// " time people way": `count` words, each after a space.
std::string random_words(uint64_t seed, int64_t count);

// How many tokens a server counts for a prompt of words.
struct TokenRate {
  // A word that is sometimes two tokens is the vocabulary's matter; a slope this near to 1 is rounding.
  static constexpr double kExact = 0.01;

  double per_word = 1;
  double fixed = 0;  // what every prompt has besides: BOS, a chat template

  // From the counts of two prompts, the second longer.
  static TokenRate of(int64_t words_a, int64_t tokens_a, int64_t words_b, int64_t tokens_b);
  int64_t words(int64_t tokens, bool whole_prompt) const;
};

class PromptMaker {
 public:
  PromptMaker(uint64_t seed, TokenRate rate, int64_t prefix_tokens)
      : seed_(seed), rate_(rate), prefix_tokens_(prefix_tokens) {}

  // What the user says in this request: its group's prefix, in the first turn, and words of its own.
  std::string prompt(const PlannedRequest& request, size_t index) const;

 private:
  uint64_t seed_;
  TokenRate rate_;
  int64_t prefix_tokens_;
};

}  // namespace tern
