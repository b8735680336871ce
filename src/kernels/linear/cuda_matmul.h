// Products of many tokens on a GPU: cuBLASLt's, from the library found at run time. Only in builds with CUDA.
//
// What is chosen for a shape stays chosen for as long as this lives. One thread, one stream at a time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "device/cuda_device.h"

namespace tern {

// y [tokens, rows] = x [tokens, cols] w [rows, cols]^T, f32 sums.
struct MatmulShape {
  int64_t rows = 0, cols = 0, tokens = 0;
  bool f32_out = false;  // y is f32, else bf16
  bool fp8 = false;      // w and x are e4m3 with a scale a row (on Hopper; rows and cols multiples of 16), else bf16
  auto operator<=>(const MatmulShape&) const = default;
};

// All device memory, 16-byte aligned, dense.
struct MatmulOperands {
  const void *w = nullptr, *x = nullptr;
  void* y = nullptr;
  const float *w_scales = nullptr, *x_scales = nullptr;  // of fp8: [rows] and [tokens]
};

class CudaMatmul {
 public:
  // Throws Error{kResource} naming the libraries that were tried when there is none.
  // `fixed`: one algorithm for every number of tokens, whose sums over columns are in one piece: a token's result has
  // the same bits in any company.
  explicit CudaMatmul(bool fixed = false);
  ~CudaMatmul();
  CudaMatmul(const CudaMatmul&) = delete;
  CudaMatmul& operator=(const CudaMatmul&) = delete;

  void run(const MatmulShape& shape, const MatmulOperands& operands, void* stream);

 private:
  struct Library;
  struct Plan;
  const Plan& plan(const MatmulShape& shape, const MatmulOperands& operands);
  void choose(const MatmulShape& shape, Plan& plan);
  void set(void* desc, int attribute, const void* value, size_t bytes) const;
  void set_scales(void* desc, const MatmulOperands& operands) const;
  void* describe(const MatmulShape& shape, const MatmulOperands& operands) const;

  bool fixed_;
  std::unique_ptr<Library> library_;
  void* handle_ = nullptr;
  CudaMemory workspace_;
  std::map<MatmulShape, std::unique_ptr<Plan>> plans_;  // with `fixed` also one of kFixedTokens, whose choice all have
};

}  // namespace tern
