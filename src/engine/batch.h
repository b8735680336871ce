// One step's work as the runner sees it: a ragged batch. Filled by the engine from a plan; its memory is reused from
// step to step. Engine thread only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/scheduler/scheduler.h"
#include "kernels/batch_shape.h"

namespace tern {

// How a row's token is drawn: parameters, which draw of its request it is, and what is told about it.
struct TokenDraw {
  float temperature = 0;  // 0: the most probable token
  int32_t top_k = 0;      // 0: all
  float top_p = 1;
  float min_p = 0;
  uint64_t random = 0;  // 64 bits, uniform
  float repetition_penalty = 1, presence_penalty = 0, frequency_penalty = 0;
  int32_t count_slot = -1;                                // where its tokens are counted; -1: no penalties
  std::span<const std::pair<int32_t, float>> logit_bias;  // distinct ids
  int32_t logprobs = -1;                                  // that many of the most probable tokens; -1: no probabilities
};

// The tokens so far of a sequence that has got a slot of the runner's counts: written before the step draws.
struct CountedTokens {
  int32_t slot;
  std::span<const int32_t> prompt, answer;
};

struct Batch {
  std::vector<BlockCopy> copies;                   // before anything else, in order
  std::vector<int32_t> tokens;                     // [tokens] ids, sequence after sequence
  std::vector<std::vector<SequenceSlice>> slices;  // [cache groups][sequences] places in `tokens`, history, blocks
  std::vector<int32_t> wanted;                     // [rows] indices into `tokens` whose logits are wanted, ascending
  std::vector<Sequence*> wanted_sequence;          // [rows] whose they are
  std::vector<TokenDraw> draws;                    // [rows] what the runner shall draw; empty: nothing
  std::vector<CountedTokens> counted;              // new in their slots
  bool logits_wanted = true;                       // of some row by others than the runner
  std::span<const float> hidden;                   // [tokens, hidden] what kHidden reads; empty: the program has none

  explicit Batch(size_t groups = 1) : slices(groups) {}

  // Of the ops that use this cache group; where no cache is used the group does not matter.
  BatchShape shape(size_t group = 0) const {
    return {slices[group].data(), static_cast<int32_t>(slices[group].size()), static_cast<int32_t>(tokens.size()),
            static_cast<int32_t>(wanted.size())};
  }
  void reserve(int64_t max_tokens, int64_t max_sequences);
  // The plan's tokens. One that the step before is still drawing is written as -1 - row, its row there.
  void fill(const StepPlan& plan);
};

}  // namespace tern
