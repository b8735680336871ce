// One step's work as the runner sees it: a ragged batch. Filled by the engine from a plan; its memory is reused from
// step to step. Engine thread only.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/scheduler/scheduler.h"
#include "kernels/batch_shape.h"

namespace tern {

struct Batch {
  std::vector<int32_t> tokens;             // [tokens] ids, sequence after sequence
  std::vector<SequenceSlice> sequences;    // their places in `tokens` and their histories
  std::vector<int32_t> wanted;             // [rows] indices into `tokens` whose logits are wanted, ascending
  std::vector<Sequence*> wanted_sequence;  // [rows] whose they are

  BatchShape shape() const {
    return {sequences.data(), static_cast<int32_t>(sequences.size()), static_cast<int32_t>(tokens.size()),
            static_cast<int32_t>(wanted.size())};
  }
  void reserve(int64_t max_tokens, int64_t max_sequences);
  // The plan's tokens; the logits of a sequence's last known token are wanted.
  void fill(const StepPlan& plan);
};

}  // namespace tern
