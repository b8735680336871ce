// One op of a CUDA executable: bound to its weights and to its places in the activation arena. run() enqueues; it may
// be captured into a graph, so it allocates nothing and waits for nothing.
#pragma once

#include <cstdint>
#include <string>

#include "engine/runner/cuda_inputs.h"
#include "kernels/cost.h"

namespace tern {

// What is new in each step.
struct CudaStepContext {
  const CudaInputs& inputs;
  const int32_t* drawn;  // [rows of the step before] its tokens
  int64_t tokens, rows;  // padded
  void* stream;
  bool overlap;  // launches may begin while the one before still runs

  int64_t count(RowCount of) const { return of == RowCount::kTokens ? tokens : rows; }
};

class CudaStep {
 public:
  virtual ~CudaStep() = default;
  virtual void run(const CudaStepContext& context) const = 0;
  virtual std::string kernel() const = 0;
  virtual Cost cost(const BatchShape& shape) const = 0;
};

}  // namespace tern
