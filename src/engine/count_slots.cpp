#include "engine/count_slots.h"

#include <algorithm>

#include "core/error.h"

namespace tern {

bool CountSlots::place(Sequence& sequence) {
  if (sequence.count_slot >= 0) return false;
  auto at = static_cast<size_t>(std::find(holders_.begin(), holders_.end(), nullptr) - holders_.begin());
  for (size_t tried = 0; at == holders_.size() && tried < holders_.size(); ++tried) {
    const size_t candidate = next_++ % holders_.size();
    if (holders_[candidate]->in_flight == 0) at = candidate;
  }
  TERN_CHECK(at < holders_.size(), "steps in flight draw for more sequences than the runner counts for");
  if (holders_[at] != nullptr) holders_[at]->count_slot = -1;
  holders_[at] = &sequence;
  sequence.count_slot = static_cast<int32_t>(at);
  return true;
}

void CountSlots::release(Sequence& sequence) {
  if (sequence.count_slot < 0) return;
  holders_[static_cast<size_t>(sequence.count_slot)] = nullptr;
  sequence.count_slot = -1;
}

}  // namespace tern
