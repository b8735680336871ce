// The peer of the decode products: cuBLASLt's bf16 product, from the library found at run time.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace tern::bench {

class CublasLt {
 public:
  // Loads libcublasLt.so.13 (or .12) by name; available() is false, and why() says what was tried, when there is none.
  CublasLt();
  ~CublasLt();
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;
  bool available() const { return matmul_ != nullptr; }
  const char* why() const { return why_; }

  // y [tokens, rows] = x [tokens, cols] w [rows, cols]^T, all bf16, f32 sums, the heuristic's first choice.
  void bf16(const void* w, const void* x, void* y, int64_t rows, int64_t cols, int64_t tokens, cudaStream_t stream);

 private:
  void* handle_ = nullptr;
  void* matmul_ = nullptr;
  void* workspace_ = nullptr;
  const char* why_ = "";
};

}  // namespace tern::bench
