#include "engine/runner/cuda_arena.h"

#include <utility>

#include "core/error.h"

namespace tern {

std::vector<bool> f32_buffers(const Program& program) {
  std::vector<bool> f32(program.buffers.size());
  const auto at = [&](const Operand& operand) { return f32[static_cast<size_t>(operand.buffer)]; };
  for (const Op& op : program.ops) {
    const bool residual = op.kind == OpKind::kEmbed || op.kind == OpKind::kHidden || op.kind == OpKind::kAddRmsNorm ||
                          op.kind == OpKind::kAdd || (op.kind == OpKind::kSelectRows && at(op.inputs[0]));
    if (residual || op.kind == OpKind::kRoute) at(op.outputs[0]) = true;
    if (op.kind == OpKind::kRoute) at(op.inputs[0]) = true;
  }
  for (const Entry& entry : program.entries) at(entry.result) = true;
  // What is scaled or capped on its way there is so too.
  for (auto op = program.ops.rbegin(); op != program.ops.rend(); ++op) {
    if ((op->kind == OpKind::kScale || op->kind == OpKind::kSoftCap) && at(op->outputs[0])) at(op->inputs[0]) = true;
  }
  return f32;
}

CudaArena::CudaArena(const Program& program, MemoryPlan plan, int64_t max_tokens, int64_t max_rows)
    : program_(program),
      plan_(std::move(plan)),
      max_tokens_(max_tokens),
      max_rows_(max_rows),
      f32_(f32_buffers(program)) {
  tokens_ = CudaMemory(static_cast<uint64_t>(plan_.token_cols * max_tokens) * sizeof(float), "activations");
  rows_ = CudaMemory(static_cast<uint64_t>(plan_.row_cols * max_rows) * sizeof(float), "logits");
}

CudaPlace CudaArena::place(const Operand& operand) const {
  const auto index = static_cast<size_t>(operand.buffer);
  const VirtualBuffer& buffer = program_.buffers[index];
  TERN_CHECK(operand.begin == 0 && operand.cols == buffer.cols);
  const bool per_token = buffer.rows == RowCount::kTokens;
  std::byte* memory = per_token ? tokens_.data() : rows_.data();
  const int64_t columns = plan_.offset[index] * (per_token ? max_tokens_ : max_rows_);
  return {memory + columns * static_cast<int64_t>(sizeof(float)), buffer.cols, f32_[index], buffer.rows};
}

}  // namespace tern
