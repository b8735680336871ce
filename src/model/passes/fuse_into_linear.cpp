#include <algorithm>

#include "model/passes/passes.h"

namespace tern {
namespace {

// How many ops and entries read each buffer.
std::vector<int> readers(const Program& program) {
  std::vector<int> count(program.buffers.size());
  for (const Op& op : program.ops) {
    for (const Operand& input : op.inputs) ++count[static_cast<size_t>(input.buffer)];
  }
  for (const Entry& entry : program.entries) ++count[static_cast<size_t>(entry.result.buffer)];
  return count;
}

bool is_norm(const Op& op) { return op.kind == OpKind::kRmsNorm || op.kind == OpKind::kAddRmsNorm; }
bool goes_on_with_columns(const Op& op) { return op.kind == OpKind::kRopeKv || op.kind == OpKind::kGlu; }

bool makes_heads(const Op& op) { return !op.epilogue.empty() && op.epilogue[0].kind == OpKind::kRopeKv; }

}  // namespace

Program fuse_into_linear(const Program& program) {
  Program out = program;
  out.ops.clear();
  const std::vector<int> read = readers(program);
  // Whether `reader` alone reads `from`.
  const auto only_reader = [&](const Operand& from, const Op& reader) {
    return reader.inputs.size() == 1 && reader.inputs[0].buffer == from.buffer &&
           read[static_cast<size_t>(from.buffer)] == 1;
  };
  for (const Op& op : program.ops) {
    Op* last = out.ops.empty() ? nullptr : &out.ops.back();
    if (last != nullptr && op.kind == OpKind::kLinear && is_norm(*last) && only_reader(last->outputs.back(), op)) {
      Op fused = op;
      fused.prologue.push_back(std::move(*last));
      *last = std::move(fused);
    } else if (last != nullptr && last->kind == OpKind::kLinear && last->epilogue.empty() && goes_on_with_columns(op) &&
               only_reader(last->outputs[0], op)) {
      last->epilogue.push_back(op);
    } else {
      out.ops.push_back(op);
      out.ops.back().by_head = op.kind == OpKind::kAttention && last != nullptr && makes_heads(*last);
    }
  }
  return out;
}

}  // namespace tern
