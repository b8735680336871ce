#include "model/passes/passes.h"

namespace tern {
namespace {

// rope(q), rope(k), kv_write(k', v) at ops[i..i+2], with q, k, v side by side in one buffer.
bool matches(const std::vector<Op>& ops, size_t i) {
  if (i + 2 >= ops.size() || ops[i].kind != OpKind::kRope || ops[i + 1].kind != OpKind::kRope ||
      ops[i + 2].kind != OpKind::kKvWrite) {
    return false;
  }
  const Operand &q = ops[i].inputs[0], &k = ops[i + 1].inputs[0], &v = ops[i + 2].inputs[1];
  return ops[i + 2].inputs[0].buffer == ops[i + 1].outputs[0].buffer && q.buffer == k.buffer && k.buffer == v.buffer &&
         k.begin == q.begin + q.cols && v.begin == k.begin + k.cols;
}

}  // namespace

Program fuse_rope_kv(const Program& program) {
  Program out = program;
  out.ops.clear();
  for (size_t i = 0; i < program.ops.size();) {
    if (!matches(program.ops, i)) {
      out.ops.push_back(program.ops[i++]);
      continue;
    }
    Op fused = program.ops[i];
    const Operand &q = fused.inputs[0], &v = program.ops[i + 2].inputs[1];
    fused.kind = OpKind::kRopeKv;
    fused.inputs = {{q.buffer, q.begin, v.begin + v.cols - q.begin}};
    fused.cache_group = program.ops[i + 2].cache_group;
    out.ops.push_back(std::move(fused));
    i += 3;
  }
  return out;
}

}  // namespace tern
