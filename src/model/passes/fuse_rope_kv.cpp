#include "model/passes/passes.h"

namespace tern {
namespace {

// head_norm(q), head_norm(k) or neither; rope(q), rope(k), kv_write(k', v): how many ops that is from ops[i] on, 0 when
// it is something else.
size_t match_length(const std::vector<Op>& ops, size_t i) {
  const auto is = [&](size_t at, OpKind kind) { return at < ops.size() && ops[at].kind == kind; };
  const auto reads = [&](size_t at, size_t from) { return ops[at].inputs[0].buffer == ops[from].outputs[0].buffer; };
  const size_t norms = is(i, OpKind::kHeadNorm) && is(i + 1, OpKind::kHeadNorm) ? 2 : 0;
  const size_t rope = i + norms;
  if (!is(rope, OpKind::kRope) || !is(rope + 1, OpKind::kRope) || !is(rope + 2, OpKind::kKvWrite)) return 0;
  if (norms > 0 && (!reads(rope, i) || !reads(rope + 1, i + 1))) return 0;
  return reads(rope + 2, rope + 1) ? norms + 3 : 0;
}

bool side_by_side(const Operand& a, const Operand& b) { return a.buffer == b.buffer && b.begin == a.begin + a.cols; }

}  // namespace

Program fuse_rope_kv(const Program& program) {
  Program out = program;
  out.ops.clear();
  for (size_t i = 0; i < program.ops.size();) {
    const size_t count = match_length(program.ops, i);
    if (count == 0) {
      out.ops.push_back(program.ops[i++]);
      continue;
    }
    const Op& write = program.ops[i + count - 1];
    Op fused = program.ops[i + count - 3];
    const Operand q = program.ops[i].inputs[0], k = program.ops[i + 1].inputs[0], v = write.inputs[1];
    fused.kind = OpKind::kRopeKv;
    if (side_by_side(q, k) && side_by_side(k, v)) {
      fused.inputs = {{q.buffer, q.begin, v.begin + v.cols - q.begin}};
    } else {
      fused.inputs = {q, k, v};
    }
    if (count > 3) {
      fused.weights = {program.ops[i].weights[0], program.ops[i + 1].weights[0]};
      fused.eps = program.ops[i].eps;
    }
    fused.cache_group = write.cache_group;
    out.ops.push_back(std::move(fused));
    i += count;
  }
  return out;
}

}  // namespace tern
