// The packed weights of a CPU runner: every matrix in one arena of huge pages, filled once, by copying the model's
// sidecar or by packing the file's weights and leaving a sidecar for the next start.
//
// Why a copy and not a mapping: see docs/techniques.md, "Packed weights kept on disk". Owned by the runner, which fills
// it on construction; const afterwards.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "device/buffer.h"
#include "engine/runner/packed_cache.h"
#include "engine/runner/runner.h"
#include "formats/checkpoint.h"
#include "kernels/linear/linear.h"

namespace tern {

class WeightStorage {
 public:
  // `tensors`: of its parts, in order. Both outlive this. fill() gives the product its place, in the order of add().
  void add(Linear& linear, std::vector<const TensorInfo*> tensors);
  void fill(const Checkpoint& checkpoint, const PackCacheOptions& options, ThreadPool& pool);

  uint64_t packed_bytes() const { return arena_.bytes(); }
  uint64_t mapped_bytes() const;  // used where they lie in the file
  const PackCacheReport& report() const { return report_; }

 private:
  struct Matrix {
    Linear* linear;
    std::vector<const TensorInfo*> tensors;
    uint64_t begin = 0, bytes = 0;  // in the arena
  };
  std::string layout() const;
  bool copy(const PackedReader& reader, ThreadPool& pool);
  bool agrees_with_file(const Checkpoint& checkpoint, ThreadPool& pool) const;
  void pack(const Checkpoint& checkpoint, ThreadPool& pool);
  static void release(const Matrix& matrix, const Checkpoint& checkpoint);
  int worker_of(uint64_t block, size_t& matrix, int workers) const;

  std::vector<Matrix> matrices_;
  Buffer arena_;
  PackCacheReport report_;
  std::unique_ptr<PackedCache> cache_;  // last: it may be writing the arena
};

}  // namespace tern
