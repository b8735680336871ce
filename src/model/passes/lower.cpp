#include "core/switch_list.h"
#include "model/passes/passes.h"

namespace tern {

Program drop_unused_buffers(const Program& program) {
  Program out = program;
  std::vector<int32_t> renumbered(program.buffers.size(), -1);
  out.buffers.clear();
  for (const Op& op : program.ops) {
    for (const Operand& output : op.outputs) {
      renumbered[static_cast<size_t>(output.buffer)] = static_cast<int32_t>(out.buffers.size());
      out.buffers.push_back(program.buffers[static_cast<size_t>(output.buffer)]);
    }
  }
  const auto renumber = [&](Operand& operand) { operand.buffer = renumbered[static_cast<size_t>(operand.buffer)]; };
  for (Op& op : out.ops) {
    for (Operand& input : op.inputs) renumber(input);
    for (Operand& output : op.outputs) renumber(output);
  }
  for (Entry& entry : out.entries) renumber(entry.result);
  return out;
}

PassSelection PassSelection::from_environment() {
  PassSelection passes;
  read_switches("TERN_PASSES", "[program]",
                {{"select_rows_early", &passes.select_rows_early}, {"fuse_into_linear", &passes.fuse_into_linear}});
  return passes;
}

Program lower(const Program& source, const PassSelection& passes) {
  Program program = merge_linears(source);
  program = fuse_rope_kv(program);
  program = fuse_glu(program);
  if (passes.select_rows_early) program = select_rows_early(program);
  program = fuse_add_norm(program);
  program = drop_unused_buffers(program);
  if (passes.fuse_into_linear) program = fuse_into_linear(program);
  check_program(program);
  return program;
}

}  // namespace tern
