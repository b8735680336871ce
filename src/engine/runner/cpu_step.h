// One op of a CPU executable: bound to its weights and to its places in the activation arenas. Called by all workers of
// the team together; the runner puts a barrier between two, except before one that begins_at_once(). Some can be fused
// into the product beside them instead.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/thread_pool.h"
#include "engine/batch.h"
#include "kernels/cost.h"
#include "kernels/kv_view.h"
#include "kernels/linear/linear.h"

namespace tern {

// What is new in each step.
struct StepContext {
  const Batch& batch;
  BatchShape shape;
  std::byte* workspace;
  std::byte* attention_workspace;  // its own: attention may begin while a product is still at work
  // Each token as a sequence of its own whose history is all the others: how attention sees both ways.
  std::span<const SequenceSlice> tokens_alone = {};
};

class CpuStep {
 public:
  virtual ~CpuStep() = default;
  virtual void run(const StepContext& context, const Team& team) const = 0;
  // No barrier is needed in front of it.
  virtual bool begins_at_once() const { return false; }
  virtual std::string kernel() const = 0;
  virtual Cost cost(const BatchShape& shape) const = 0;
};

// A step that can also make its output a row at a time, where a product reads it: the product's prologue.
class RowSource {
 public:
  virtual ~RowSource() = default;
  // See LinearRow.
  virtual const float* row(const StepContext& context, int64_t token, bool owner, float* scratch) const = 0;
};

// A step that can also be done for some columns of its input, by the worker that completed them: a product's epilogue.
class ColumnSink {
 public:
  virtual ~ColumnSink() = default;
  // Which columns must come together.
  virtual LinearDivision division() const = 0;
  // See LinearDone.
  virtual void columns(const StepContext& context, int64_t begin, int64_t end) const = 0;
};

}  // namespace tern
