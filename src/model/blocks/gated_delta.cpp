#include "model/blocks/gated_delta.h"

namespace tern {

Operand gated_delta_net(ProgramBuilder& b, const ModelConfig& c, Operand x, int32_t layer, int32_t cache) {
  const DeltaFacts& delta = c.delta;
  std::vector<Operand> ins;
  if (delta.by_head) {
    ins.push_back(b.linear(x, Role::kDeltaIn, false, layer, delta.channels() + delta.values(), "qkvz"));
  } else {
    ins.push_back(b.linear(x, Role::kDeltaIn, false, layer, delta.channels(), "qkv"));
    ins.push_back(b.linear(x, Role::kDeltaGate, false, layer, delta.values(), "z"));
  }
  ins.push_back(b.linear(x, Role::kDeltaRates, false, layer, 2 * delta.value_heads, "ba"));
  const Operand mixed = b.gated_delta(std::move(ins), layer, cache);
  return b.linear(mixed, Role::kDeltaOut, false, layer, c.hidden, "delta_out");
}

}  // namespace tern
