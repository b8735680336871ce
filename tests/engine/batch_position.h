// Of runners that tests make up.
#pragma once

#include "engine/batch.h"

namespace tern::test {

// The position in its sequence of the batch's token `at`; -1: it has none.
inline int32_t position_of(const Batch& batch, int32_t at) {
  for (const SequenceSlice& slice : batch.slices[0]) {
    if (at < slice.query_begin + slice.query_len) return slice.history_len + at - slice.query_begin;
  }
  return -1;
}

}  // namespace tern::test
