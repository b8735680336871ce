#include "engine/runner/cpu_gated_delta.h"

#include <cmath>

#include "engine/runner/runner.h"

namespace tern {

GatedDeltaStep::Weights::Weights(const WeightMap& weights, const Op& op)
    : conv(decode_tensor(weights.tensor(op.weights[0]))),
      decay(weights.vector(op.weights[1])),
      bias(weights.vector(op.weights[2])),
      norm(weights.vector(op.weights[3])) {
  if (!op.delta.log_decay) return;
  for (float& value : decay) value = -std::exp(value);
}

void GatedDeltaStep::run(const StepContext& context, const Team& team) const {
  gated_delta({.facts = facts_,
               .qkv = in_.qkv.data,
               .qkv_stride = in_.qkv.stride,
               .z = in_.z.data,
               .z_stride = in_.z.stride,
               .ba = in_.ba.data,
               .ba_stride = in_.ba.stride,
               .out = out_.data,
               .out_stride = out_.stride,
               .conv = weights_.conv.data(),
               .decay = weights_.decay.data(),
               .bias = weights_.bias.data(),
               .norm = weights_.norm.data(),
               .norm_eps = eps_,
               .state = state_,
               .batch = context.batch.shape(group_)},
              team);
}

// Each token reads and writes the matrices of all heads, a multiplication and an addition three times an element.
Cost GatedDeltaStep::cost(const BatchShape& shape) const {
  const auto tokens = static_cast<double>(shape.tokens);
  const auto state = static_cast<double>(facts_.state_floats());
  const auto rows = static_cast<double>(facts_.channels() + 2 * facts_.values());
  return {.bytes = tokens * (8 * state + 4 * rows), .ops = 6 * tokens * state, .activations = 4 * tokens * rows};
}

}  // namespace tern
