#include "engine/runner/cpu_arena.h"

namespace tern {

CpuArena::CpuArena(const Program& program, int64_t max_tokens, int64_t max_rows)
    : program_(program), plan_(plan_memory(program)), max_tokens_(max_tokens), max_rows_(max_rows) {
  tokens_ = Buffer(static_cast<uint64_t>(plan_.token_cols * max_tokens) * sizeof(float), "activations");
  rows_ = Buffer(static_cast<uint64_t>(plan_.row_cols * max_rows) * sizeof(float), "logits");
}

Place CpuArena::place(const Operand& operand) const {
  const auto index = static_cast<size_t>(operand.buffer);
  const Buffer& memory = program_.buffers[index].rows == RowCount::kTokens ? tokens_ : rows_;
  const int64_t capacity = program_.buffers[index].rows == RowCount::kTokens ? max_tokens_ : max_rows_;
  float* data = plan_.offset[index] < 0 ? nullptr : memory.floats() + plan_.offset[index] * capacity + operand.begin;
  return {data, program_.buffers[index].cols, operand.cols, program_.buffers[index].rows};
}

}  // namespace tern
