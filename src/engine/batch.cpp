#include "engine/batch.h"

namespace tern {

void Batch::reserve(int64_t max_tokens, int64_t max_sequences) {
  tokens.reserve(static_cast<size_t>(max_tokens));
  for (auto& group : slices) group.reserve(static_cast<size_t>(max_sequences));
  wanted.reserve(static_cast<size_t>(max_sequences));
  wanted_sequence.reserve(static_cast<size_t>(max_sequences));
  draws.reserve(static_cast<size_t>(max_sequences));
  counted.reserve(static_cast<size_t>(max_sequences));
}

void Batch::fill(const StepPlan& plan) {
  copies.assign(plan.copies.begin(), plan.copies.end());
  tokens.clear();
  for (auto& group : slices) group.clear();
  wanted.clear();
  wanted_sequence.clear();
  for (const ScheduledSequence& item : plan.sequences) {
    const Sequence& sequence = *item.sequence;
    for (size_t g = 0; g < slices.size(); ++g) {
      slices[g].push_back({static_cast<int32_t>(tokens.size()), static_cast<int32_t>(item.tokens),
                           static_cast<int32_t>(item.begin), sequence.kv.groups[g].blocks.data()});
    }
    for (int64_t position = item.begin; position < item.begin + item.tokens; ++position) {
      tokens.push_back(position < sequence.known() ? sequence.token(position) : -1 - sequence.row);
    }
    if (item.samples) {
      item.sequence->row = static_cast<int32_t>(wanted.size());
      wanted.push_back(static_cast<int32_t>(tokens.size()) - 1);
      wanted_sequence.push_back(item.sequence);
    }
  }
}

}  // namespace tern
