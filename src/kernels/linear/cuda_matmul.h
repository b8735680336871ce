// Products of many tokens on a GPU: cuBLASLt's, from the library found at run time. Only in builds with CUDA.
//
// What is chosen for a shape stays chosen for as long as this lives. One thread, one stream at a time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "device/cuda_device.h"

namespace tern {

// y [tokens, rows] = x [tokens, cols] w [rows, cols]^T, bf16 inputs, f32 sums.
struct MatmulShape {
  int64_t rows = 0, cols = 0, tokens = 0;
  bool f32_out = false;  // y is f32, else bf16
  auto operator<=>(const MatmulShape&) const = default;
};

class CudaMatmul {
 public:
  // Throws Error{kResource} naming the libraries that were tried when there is none.
  CudaMatmul();
  ~CudaMatmul();
  CudaMatmul(const CudaMatmul&) = delete;
  CudaMatmul& operator=(const CudaMatmul&) = delete;

  // All device memory, 16-byte aligned, dense.
  void run(const MatmulShape& shape, const void* w, const void* x, void* y, void* stream);

 private:
  struct Library;
  struct Plan;
  const Plan& plan(const MatmulShape& shape);

  std::unique_ptr<Library> library_;
  void* handle_ = nullptr;
  CudaMemory workspace_;
  std::map<MatmulShape, std::unique_ptr<Plan>> plans_;
};

}  // namespace tern
