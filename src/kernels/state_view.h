// Recurrent states in a paged cache: what a sequence needs of its past, in each block as it is behind the block's last
// token. A view; the pool belongs to the runner.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/batch_shape.h"

namespace tern {

// One layer's states inside the blocks of a cache group.
struct StateView {
  std::byte* pool;
  int64_t block_bytes;
  int64_t offset;  // of the layer in a block: f32, as its kernel lays them out
  int32_t block_tokens;

  // In the block of that token.
  float* at(const SequenceSlice& sequence, int64_t position) const {
    return reinterpret_cast<float*>(pool + sequence.block_table[position / block_tokens] * block_bytes + offset);
  }
};

}  // namespace tern
