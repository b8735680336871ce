#include "engine/batch.h"

namespace tern {

void Batch::reserve(int64_t max_tokens, int64_t max_sequences) {
  tokens.reserve(static_cast<size_t>(max_tokens));
  sequences.reserve(static_cast<size_t>(max_sequences));
  wanted.reserve(static_cast<size_t>(max_sequences));
  wanted_sequence.reserve(static_cast<size_t>(max_sequences));
}

void Batch::fill(const StepPlan& plan) {
  tokens.clear();
  sequences.clear();
  wanted.clear();
  wanted_sequence.clear();
  for (const ScheduledSequence& scheduled : plan.sequences) {
    const Sequence& sequence = *scheduled.sequence;
    sequences.push_back({static_cast<int32_t>(tokens.size()), static_cast<int32_t>(scheduled.tokens),
                         static_cast<int32_t>(sequence.computed), sequence.blocks.data()});
    for (int64_t i = 0; i < scheduled.tokens; ++i) tokens.push_back(sequence.token(sequence.computed + i));
    if (scheduled.tokens == sequence.pending()) {
      wanted.push_back(static_cast<int32_t>(tokens.size()) - 1);
      wanted_sequence.push_back(scheduled.sequence);
    }
  }
}

}  // namespace tern
