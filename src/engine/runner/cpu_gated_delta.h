// The step of a gated delta net on the CPU.
#pragma once

#include <vector>

#include "engine/runner/cpu_arena.h"
#include "engine/runner/cpu_step.h"
#include "kernels/delta/gated_delta.h"
#include "model/program.h"
#include "model/weights.h"

namespace tern {

class GatedDeltaStep final : public CpuStep {
 public:
  struct Weights {
    std::vector<float> conv, decay, bias, norm;  // see GatedDeltaArgs
    Weights(const WeightMap& weights, const Op& op);
  };
  // z without memory: in qkv.
  struct Inputs {
    Place qkv, z, ba;
  };
  GatedDeltaStep(const DeltaFacts& facts, Weights weights, float norm_eps, const StateView& state, size_t group,
                 const Inputs& in, Place out)
      : facts_(facts), weights_(std::move(weights)), eps_(norm_eps), state_(state), group_(group), in_(in), out_(out) {}
  void run(const StepContext& context, const Team& team) const override;
  std::string kernel() const override { return "loop"; }
  Cost cost(const BatchShape& shape) const override;

 private:
  DeltaFacts facts_;
  Weights weights_;
  float eps_;
  StateView state_;
  size_t group_;
  Inputs in_;
  Place out_;
};

}  // namespace tern
