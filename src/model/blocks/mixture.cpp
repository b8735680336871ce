#include "model/blocks/mixture.h"

namespace tern {

Operand mixture_of_experts(ProgramBuilder& b, const ModelConfig& c, Operand normed, int32_t layer) {
  const Operand scores = b.linear(normed, Role::kRouter, c.router_bias, layer, c.route.experts, "expert_scores");
  const Operand routed = b.experts(normed, b.route(scores, layer), layer);
  if (c.shared_ffn == 0) return routed;
  const Operand gate = b.linear(normed, Role::kSharedGate, false, layer, c.shared_ffn, "gate");
  const Operand up = b.linear(normed, Role::kSharedUp, false, layer, c.shared_ffn, "up");
  const Operand product = b.mul(b.activation(gate, layer), up, layer);
  Operand shared = b.linear(product, Role::kSharedDown, false, layer, c.hidden, "shared_out");
  if (c.shared_gate)
    shared = b.sigmoid_gate(shared, b.linear(normed, Role::kSharedRouter, false, layer, 1, "share"), 1, layer);
  return b.add(routed, shared, layer);
}

}  // namespace tern
