#include <set>

#include "core/error.h"
#include "model/passes/passes.h"

namespace tern {
namespace {

// The last op that mixes tokens; everything after it works on each row alone.
size_t last_mixing_op(const std::vector<Op>& ops) {
  for (size_t i = ops.size(); i-- > 0;) {
    const OpKind kind = ops[i].kind;
    if (kind == OpKind::kAttention || kind == OpKind::kKvWrite || kind == OpKind::kRopeKv ||
        kind == OpKind::kShortConv || kind == OpKind::kGatedDelta)
      return i;
  }
  return 0;
}

Op select(Program& out, const Operand& in) {
  const VirtualBuffer& source = out.buffers[static_cast<size_t>(in.buffer)];
  out.buffers.push_back({source.name + "_selected", RowCount::kRows, source.cols});
  const auto buffer = static_cast<int32_t>(out.buffers.size()) - 1;
  Op op{.kind = OpKind::kSelectRows};
  op.inputs = {{in.buffer, 0, out.buffers[static_cast<size_t>(buffer)].cols}};
  op.outputs = {{buffer, 0, out.buffers[static_cast<size_t>(buffer)].cols}};
  return op;
}

}  // namespace

Program select_rows_early(const Program& program) {
  Program out = program;
  const size_t mixing = last_mixing_op(program.ops);
  out.ops.assign(program.ops.begin(), program.ops.begin() + static_cast<std::ptrdiff_t>(mixing) + 1);
  // Where an operand of the tail now lives: selected buffers of the head, and renamed results of the old select_rows.
  std::vector<int32_t> now(program.buffers.size(), -1);
  std::set<int32_t> of_tail;
  for (size_t i = mixing + 1; i < program.ops.size(); ++i) {
    Op op = program.ops[i];
    if (op.kind == OpKind::kSelectRows) {
      const auto in = static_cast<size_t>(op.inputs[0].buffer);
      now[static_cast<size_t>(op.outputs[0].buffer)] = now[in] >= 0 ? now[in] : op.inputs[0].buffer;
      continue;
    }
    for (Operand& input : op.inputs) {
      int32_t& moved = now[static_cast<size_t>(input.buffer)];
      if (moved < 0 && !of_tail.contains(input.buffer)) {
        out.ops.push_back(select(out, input));
        moved = out.ops.back().outputs[0].buffer;
      }
      if (moved >= 0) input.buffer = moved;
    }
    for (const Operand& output : op.outputs) {
      of_tail.insert(output.buffer);
      out.buffers[static_cast<size_t>(output.buffer)].rows = RowCount::kRows;
    }
    out.ops.push_back(std::move(op));
  }
  for (Entry& entry : out.entries) {
    const int32_t moved = now[static_cast<size_t>(entry.result.buffer)];
    if (moved >= 0) entry.result.buffer = moved;
  }
  return out;
}

}  // namespace tern
