// One op of a CPU executable: bound to its weights and to its places in the activation arenas. Called by all workers of
// the team together; the runner puts a barrier behind each.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/thread_pool.h"
#include "engine/batch.h"
#include "kernels/cost.h"
#include "kernels/kv_view.h"

namespace tern {

// What is new in each step.
struct StepContext {
  const Batch& batch;
  BatchShape shape;
  std::byte* workspace;
};

class CpuStep {
 public:
  virtual ~CpuStep() = default;
  virtual void run(const StepContext& context, const Team& team) const = 0;
  virtual std::string kernel() const = 0;
  virtual Cost cost(const BatchShape& shape) const = 0;
};

}  // namespace tern
