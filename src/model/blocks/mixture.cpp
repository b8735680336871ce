#include "model/blocks/mixture.h"

namespace tern {

Operand mixture_of_experts(ProgramBuilder& b, const ModelConfig& c, Operand normed, int32_t layer) {
  const Operand scores = b.linear(normed, Role::kRouter, Role::kNone, layer, c.route.experts, "expert_scores");
  return b.experts(normed, b.route(scores, layer), layer);
}

}  // namespace tern
