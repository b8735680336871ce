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

struct DecodeProductArgs;

class CudaStep {
 public:
  virtual ~CudaStep() = default;
  virtual void run(const CudaStepContext& context) const = 0;
  virtual std::string kernel() const = 0;
  virtual Cost cost(const BatchShape& shape) const = 0;
};

// A step that the product before it may do in its own launch, where that has few tokens.
class CudaTailStep : public CudaStep {
 public:
  explicit CudaTailStep(RowCount rows) : rows_(rows) {}
  void run(const CudaStepContext& context) const final;
  std::string kernel() const final;
  Cost cost(const BatchShape& shape) const final;
  void leave_to_product() { in_product_ = true; }
  // What the product is told for it; residual.squares is there already.
  virtual void complete(const CudaStepContext& context, DecodeProductArgs& args) const = 0;

 private:
  virtual void launch(const CudaStepContext& context) const = 0;
  virtual std::string own_kernel() const = 0;
  virtual Cost own_cost(const BatchShape& shape) const = 0;

  RowCount rows_;
  bool in_product_ = false;
};

}  // namespace tern
