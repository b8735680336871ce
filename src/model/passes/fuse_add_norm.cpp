#include "model/passes/passes.h"

namespace tern {

Program fuse_add_norm(const Program& program) {
  Program out = program;
  out.ops.clear();
  for (const Op& op : program.ops) {
    Op* last = out.ops.empty() ? nullptr : &out.ops.back();
    if (op.kind == OpKind::kRmsNorm && last != nullptr && last->kind == OpKind::kAdd &&
        last->outputs[0].buffer == op.inputs[0].buffer) {
      last->kind = OpKind::kAddRmsNorm;
      last->layer = op.layer;
      last->outputs.push_back(op.outputs[0]);
      last->weights = op.weights;
      last->biases = op.biases;
      last->centered = op.centered;
      last->eps = op.eps;
    } else {
      out.ops.push_back(op);
    }
  }
  return out;
}

}  // namespace tern
