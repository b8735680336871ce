// One step's work as the runner sees it: a ragged batch. Filled by the engine from a plan; its memory is reused from
// step to step. Engine thread only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/scheduler/scheduler.h"
#include "kernels/batch_shape.h"

namespace tern {

// How a row's token is drawn: parameters without penalties, and which draw of its request it is.
struct TokenDraw {
  float temperature = 0;  // 0: the most probable token
  int32_t top_k = 0;      // 0: all
  float top_p = 1;
  float min_p = 0;
  uint64_t random = 0;  // 64 bits, uniform
};

struct Batch {
  std::vector<BlockCopy> copies;                   // before anything else, in order
  std::vector<int32_t> tokens;                     // [tokens] ids, sequence after sequence
  std::vector<std::vector<SequenceSlice>> slices;  // [cache groups][sequences] places in `tokens`, history, blocks
  std::vector<int32_t> wanted;                     // [rows] indices into `tokens` whose logits are wanted, ascending
  std::vector<Sequence*> wanted_sequence;          // [rows] whose they are
  std::vector<TokenDraw> draws;                    // [rows] what the runner shall draw; empty: nothing
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
