// The activation memory of a CPU executable: where the planned columns of each buffer lie.
//
// A buffer of n columns is a dense [capacity, n] array at offset * capacity floats of its arena, so rows of one buffer
// are contiguous, which is what kernels want; capacity is the most tokens (or rows) of a step.
#pragma once

#include <cstdint>

#include "device/buffer.h"
#include "model/passes/passes.h"
#include "model/program.h"

namespace tern {

struct Place {
  float* data = nullptr;  // row 0, first column of the operand; null: it never lies in memory
  int64_t stride = 0;     // floats from row to row
  int64_t cols = 0;
  RowCount rows = RowCount::kTokens;
};

class CpuArena {
 public:
  CpuArena(const Program& program, int64_t max_tokens, int64_t max_rows);
  Place place(const Operand& operand) const;
  uint64_t bytes() const { return tokens_.bytes() + rows_.bytes(); }

 private:
  const Program& program_;
  MemoryPlan plan_;
  int64_t max_tokens_, max_rows_;
  Buffer tokens_, rows_;
};

}  // namespace tern
