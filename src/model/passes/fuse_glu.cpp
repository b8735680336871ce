#include "model/passes/passes.h"

namespace tern {
namespace {

// activation(gate), mul(activated, up) at ops[i], ops[i+1], gate and up being the two halves of one buffer.
bool matches(const std::vector<Op>& ops, size_t i) {
  if (i + 1 >= ops.size() || ops[i].kind != OpKind::kActivation || ops[i + 1].kind != OpKind::kMul) return false;
  const Operand &gate = ops[i].inputs[0], &activated = ops[i + 1].inputs[0], &up = ops[i + 1].inputs[1];
  return activated.buffer == ops[i].outputs[0].buffer && gate.buffer == up.buffer && gate.begin == 0 &&
         up.begin == gate.cols && up.cols == gate.cols;
}

}  // namespace

Program fuse_glu(const Program& program) {
  Program out = program;
  out.ops.clear();
  for (size_t i = 0; i < program.ops.size();) {
    if (!matches(program.ops, i)) {
      out.ops.push_back(program.ops[i++]);
      continue;
    }
    Op fused = program.ops[i + 1];
    const Operand& gate = program.ops[i].inputs[0];
    fused.kind = OpKind::kGlu;
    fused.activation = program.ops[i].activation;
    fused.inputs = {{gate.buffer, 0, 2 * gate.cols}};
    out.ops.push_back(std::move(fused));
    i += 2;
  }
  return out;
}

}  // namespace tern
