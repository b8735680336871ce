// Which sequences have a row of counts in the runner: of what prompt and answer hold, for penalties, kept up by the
// runner as it draws. Owned by the engine. Engine thread only.
//
// A sequence gets a slot with the first step that draws for it and keeps it, also while it is preempted, until it is
// released, or another one needs it and none of its own steps is in flight: then all its tokens are known, so that its
// counts can be written again. With a slot for each sequence that steps in flight draw for there is always one to give.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/sequence.h"

namespace tern {

class CountSlots {
 public:
  explicit CountSlots(int64_t slots) : holders_(static_cast<size_t>(slots), nullptr) {}
  int64_t size() const { return static_cast<int64_t>(holders_.size()); }
  // Gives the sequence a slot, for a step that is in flight already; false: it has one.
  bool place(Sequence& sequence);
  void release(Sequence& sequence);

 private:
  std::vector<Sequence*> holders_;  // [slots] null: free
  size_t next_ = 0;                 // where the search for one to take away begins
};

}  // namespace tern
