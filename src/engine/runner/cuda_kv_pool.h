// The KV pool of a CUDA executable: memory of blocks for each cache group of the program, all of the same number of
// blocks. In a block, layer after layer of the group lies as decode_kv_layout() says. Owned by the runner; engine
// thread only.
#pragma once

#include <cstdint>
#include <vector>

#include "device/cuda_device.h"
#include "engine/kv/kv_cache.h"
#include "engine/runner/cuda_attention.h"
#include "model/program.h"

namespace tern {

class CudaKvPool {
 public:
  // `program` outlives this.
  CudaKvPool(const Program& program, DecodeKv format, int64_t block_tokens);
  // For `tokens`, or as many as `budget` bytes hold. Throws Error{kResource} where that is not one block.
  void reserve(int64_t tokens, uint64_t budget, uint64_t device_bytes);
  uint64_t bytes_for(int64_t tokens) const;
  std::vector<KvGroup> groups() const;
  // Of the op's layer in its group.
  CudaKv place(const Op& op) const;
  // Enqueues the copies in order.
  void copy_blocks(const std::vector<BlockCopy>& copies, void* stream) const;
  uint64_t bytes() const;

 private:
  DecodeKvLayout layout(const CacheGroup& group) const;
  int64_t block_bytes(const CacheGroup& group) const;

  const Program& program_;
  DecodeKv format_;
  int64_t block_tokens_;
  int64_t blocks_ = 0;
  std::vector<CudaMemory> pools_;  // [cache groups]
};

}  // namespace tern
