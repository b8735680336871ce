#include <algorithm>

#include "model/passes/passes.h"

namespace tern {
namespace {

bool same(const Operand& a, const Operand& b) { return a.buffer == b.buffer && a.begin == b.begin && a.cols == b.cols; }

// How many ops from `first` on are linears of the same operand.
size_t run_length(const std::vector<Op>& ops, size_t first) {
  size_t n = 1;
  while (first + n < ops.size() && ops[first + n].kind == OpKind::kLinear &&
         same(ops[first + n].inputs[0], ops[first].inputs[0])) {
    ++n;
  }
  return n;
}

// One linear with the weights of ops[first, first + count), writing one new buffer.
Op merge(Program& out, const std::vector<Op>& ops, size_t first, size_t count, std::vector<Operand>& moved) {
  Op merged = ops[first];
  const auto buffer = static_cast<int32_t>(out.buffers.size());
  VirtualBuffer joined{"", out.buffers[static_cast<size_t>(merged.outputs[0].buffer)].rows, 0};
  merged.weights.clear();
  merged.biases.clear();
  const bool any_bias = std::any_of(ops.begin() + static_cast<std::ptrdiff_t>(first),
                                    ops.begin() + static_cast<std::ptrdiff_t>(first + count),
                                    [](const Op& op) { return !op.biases.empty(); });
  for (size_t i = first; i < first + count; ++i) {
    const Operand& output = ops[i].outputs[0];
    moved[static_cast<size_t>(output.buffer)] = {buffer, joined.cols, output.cols};
    joined.name += (joined.name.empty() ? "" : "_") + out.buffers[static_cast<size_t>(output.buffer)].name;
    joined.cols += output.cols;
    merged.weights.push_back(ops[i].weights[0]);
    if (any_bias) merged.biases.push_back(ops[i].biases.empty() ? WeightUse{Role::kNone} : ops[i].biases[0]);
  }
  merged.outputs = {{buffer, 0, joined.cols}};
  out.buffers.push_back(std::move(joined));
  return merged;
}

void redirect(std::vector<Operand>& operands, const std::vector<Operand>& moved) {
  for (Operand& operand : operands) {
    const auto at = static_cast<size_t>(operand.buffer);
    if (at < moved.size() && moved[at].buffer >= 0)
      operand = {moved[at].buffer, moved[at].begin + operand.begin, operand.cols};
  }
}

}  // namespace

Program merge_linears(const Program& program) {
  Program out = program;
  out.ops.clear();
  std::vector<Operand> moved(program.buffers.size());  // where a merged output now lives; buffer -1: unmoved
  for (size_t i = 0; i < program.ops.size();) {
    const size_t count = program.ops[i].kind == OpKind::kLinear ? run_length(program.ops, i) : 1;
    out.ops.push_back(count > 1 ? merge(out, program.ops, i, count, moved) : program.ops[i]);
    redirect(out.ops.back().inputs, moved);
    i += count;
  }
  for (Entry& entry : out.entries) {
    std::vector<Operand> result{entry.result};
    redirect(result, moved);
    entry.result = result[0];
  }
  return out;
}

}  // namespace tern
