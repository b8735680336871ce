// The activation memory of a CUDA executable: where the planned columns of each buffer lie. The residual stream, what
// goes into routes and logits are f32, every other buffer is bf16 and uses half of its place. A buffer is dense, [rows,
// cols].
#pragma once

#include <cstdint>
#include <vector>

#include "device/cuda_device.h"
#include "model/passes/passes.h"
#include "model/program.h"

namespace tern {

struct CudaPlace {
  std::byte* data = nullptr;
  int64_t cols = 0;
  bool f32 = false;
  RowCount rows = RowCount::kTokens;

  float* floats() const { return reinterpret_cast<float*>(data); }
  int64_t row_bytes() const { return cols * (f32 ? 4 : 2); }
};

// [buffers] Which are f32.
std::vector<bool> f32_buffers(const Program& program);

class CudaArena {
 public:
  // `plan`: of the program.
  CudaArena(const Program& program, MemoryPlan plan, int64_t max_tokens, int64_t max_rows);
  // Of a whole buffer: no kernel takes column ranges.
  CudaPlace place(const Operand& operand) const;
  uint64_t bytes() const { return tokens_.bytes() + rows_.bytes(); }

 private:
  const Program& program_;
  MemoryPlan plan_;
  int64_t max_tokens_, max_rows_;
  std::vector<bool> f32_;  // [buffers]
  CudaMemory tokens_, rows_;
};

}  // namespace tern
