// The KV pool of a CPU executable: a buffer of blocks for each cache group of the program, reserved on construction.
// Owned by the executable; the engine's thread only, copy_blocks() by all workers together.
#pragma once

#include <cstdint>
#include <vector>

#include "device/buffer.h"
#include "engine/batch.h"
#include "engine/kv/kv_cache.h"
#include "engine/runner/cpu_steps.h"
#include "kernels/state_view.h"
#include "model/program.h"

namespace tern {

class CpuKvPool {
 public:
  // For `tokens`, rounded up to whole blocks. `program` outlives this.
  CpuKvPool(const Program& program, Format format, int64_t tokens, int64_t block_tokens);
  int64_t tokens() const { return blocks_ * block_tokens_; }
  std::vector<KvGroup> groups() const;
  // Of the op's layer in its group.
  CachePlace place(const Op& op) const;
  StateView state(const Op& op) const;
  // In order, each by all workers: a block may be the source of one copy and the target of a later one.
  void copy_blocks(const std::vector<BlockCopy>& copies, const Team& team);
  uint64_t bytes() const;

 private:
  int64_t block_bytes(const CacheGroup& group) const;

  const Program& program_;
  Format format_;
  int64_t block_tokens_;
  int32_t blocks_ = 0;
  std::vector<Buffer> pools_;  // [cache groups]
};

}  // namespace tern
