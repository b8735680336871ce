// Products on a GPU: which format the weights of each get, and the step that multiplies. Few tokens go to a kernel that
// is bound by reading the weights as they are stored; more to cuBLASLt, with activations rounded as the weights are or
// with weights decoded before.
#pragma once

#include <span>
#include <string>

#include "engine/runner/cuda_arena.h"
#include "engine/runner/cuda_runner.h"
#include "engine/runner/cuda_step.h"
#include "engine/runner/cuda_weights.h"
#include "kernels/linear/cuda_matmul.h"
#include "kernels/linear/decode_product.h"
#include "kernels/linear/w4_product.h"

namespace tern {

// What the weights of one product, the parts one below the other, are kept as. `to_f32`: what it makes is f32, as
// logits are, whose weights stay bf16.
DecodeWeight choose_weight(std::span<const TensorInfo* const> parts, bool to_f32, const CudaOptions& cuda,
                           int capability);

// From so many tokens on a matrix of 4-bit weights is decoded to bf16 for cuBLASLt; fewer multiply with it as it lies
// (2026-11-27-hopper-w4a16.md: a layer of 8B takes 1.59 ms for 2,048 tokens, decoding 0.33 beside 1.34 of cuBLASLt).
inline constexpr int64_t kW4DecodedTokens = 2049;

// Whether a product of few tokens has a kernel of its own.
bool has_few_product(const DecodeProductDesc& desc, int capability);

// cuBLASLt, and the memory that products of many tokens need beside their operands. Sizes are asked for while steps are
// bound, memory is reserved once. Outlives the steps.
class CudaProducts {
 public:
  // `deterministic`: as CudaOptions has it.
  explicit CudaProducts(bool deterministic) : matmul_(deterministic), deterministic_(deterministic) {}
  bool deterministic() const { return deterministic_; }
  void need_fp8(int64_t tokens, int64_t cols);
  void need_matrix(int64_t rows, int64_t cols);
  void need_squares(int64_t cols);
  void need_w4();
  void reserve();
  uint64_t bytes() const {
    return tokens_.bytes() + scales_.bytes() + matrix_.bytes() + squares_.bytes() + w4_workspace_.bytes();
  }
  // What a product that ends in a residual sum leaves for the next one: DecodeResidual::squares.
  float* squares() const { return reinterpret_cast<float*>(squares_.data()); }
  // W4ProductArgs::workspace.
  void* w4_workspace() const { return w4_workspace_.data(); }

  void run_bf16(const MatmulShape& shape, const MatmulOperands& operands, void* stream);
  // operands.x is bf16 and rounded to e4m3, a scale a token.
  void run_fp8(const MatmulShape& shape, const MatmulOperands& operands, bool overlap, void* stream);
  // operands.w is e4m3 with a scale for 128 x 128.
  void run_fp8_blocks(const MatmulShape& shape, const MatmulOperands& operands, bool overlap, void* stream);
  // operands.w is packed (w4_block32.h), and decoded to bf16 first.
  void run_w4_decoded(const MatmulShape& shape, const MatmulOperands& operands, bool offsets, bool overlap,
                      void* stream);

 private:
  CudaMatmul matmul_;
  bool deterministic_;
  int64_t w4_bytes_ = 0, token_bytes_ = 0, scale_count_ = 0, matrix_bytes_ = 0, square_bytes_ = 0;
  CudaMemory tokens_, scales_, matrix_, squares_, w4_workspace_;
};

class CudaLinearStep final : public CudaStep {
 public:
  CudaLinearStep(CudaProducts& products, const CudaMatrix& weights, const float* bias, CudaPlace in, CudaPlace out,
                 int capability);
  // Few tokens: it does this step too.
  void join(CudaTailStep& tail);
  // Few tokens: its input was left by a joined norm, whose division it makes up for.
  void divide(float eps) { norm_ = {.squares = products_.squares(), .eps = eps}; }
  void run(const CudaStepContext& context) const override;
  std::string kernel() const override;
  Cost cost(const BatchShape& shape) const override;

 private:
  DecodeProductArgs few_args(int64_t tokens, const CudaStepContext& context) const;
  void run_joined(int64_t tokens, const CudaStepContext& context) const;
  void run_few(int64_t tokens, const CudaStepContext& context) const;
  void run_w4(int64_t tokens, const CudaStepContext& context) const;
  void run_many(int64_t tokens, const CudaStepContext& context) const;

  CudaProducts& products_;
  CudaMatrix weights_;
  const DecodeProductImpl* few_ = nullptr;  // null: none supports the shape
  const W4ProductImpl* w4_ = nullptr;       // the same
  const float* bias_;
  CudaPlace in_, out_;
  const CudaTailStep* tail_ = nullptr;
  DecodeNorm norm_;
};

}  // namespace tern
