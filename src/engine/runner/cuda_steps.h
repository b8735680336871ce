// The steps of a CUDA executable, one class an op of the lowered program. Constructed by the binder in cuda_runner.cpp.
#pragma once

#include "engine/runner/cuda_arena.h"
#include "engine/runner/cuda_attention.h"
#include "engine/runner/cuda_step.h"
#include "kernels/activation/glu_gpu.h"
#include "kernels/activation/pointwise_gpu.h"
#include "kernels/norm/norm_gpu.h"
#include "kernels/rope/rope_gpu.h"

namespace tern {

class CudaEmbedStep final : public CudaStep {
 public:
  CudaEmbedStep(const std::byte* table, float scale, CudaPlace out) : table_(table), scale_(scale), out_(out) {}
  void run(const CudaStepContext& context) const override;
  std::string kernel() const override;
  Cost cost(const BatchShape& shape) const override;

 private:
  const std::byte* table_;
  float scale_;
  CudaPlace out_;
};

// What another runner made of the tokens: CudaRunner::submit() has put it there.
class CudaHiddenStep final : public CudaStep {
 public:
  explicit CudaHiddenStep(CudaPlace out) : out_(out) {}
  void run(const CudaStepContext&) const override {}
  std::string kernel() const override { return "copy"; }
  Cost cost(const BatchShape& shape) const override;

 private:
  CudaPlace out_;
};

class CudaSelectRowsStep final : public CudaStep {
 public:
  CudaSelectRowsStep(CudaPlace in, CudaPlace out) : in_(in), out_(out) {}
  void run(const CudaStepContext& context) const override;
  std::string kernel() const override;
  Cost cost(const BatchShape& shape) const override;

 private:
  CudaPlace in_, out_;
};

// Norm of f32 rows alone (no delta), of bf16 rows alone (only a delta), or behind a residual sum.
class CudaNormStep final : public CudaTailStep {
 public:
  CudaNormStep(const float* weight, float eps, CudaPlace in, CudaPlace delta, CudaPlace sum, CudaPlace out)
      : CudaTailStep(in.rows), weight_(weight), eps_(eps), in_(in), delta_(delta), sum_(sum), out_(out) {}
  void complete(const CudaStepContext& context, DecodeProductArgs& args) const override;

 private:
  void launch(const CudaStepContext& context) const override;
  std::string own_kernel() const override;
  Cost own_cost(const BatchShape& shape) const override;

  const float* weight_;
  float eps_;
  CudaPlace in_, delta_, sum_, out_;
};

class CudaRopeKvStep final : public CudaTailStep {
 public:
  struct Weights {
    const float *cos, *sin;
    const float *q_norm = nullptr, *k_norm = nullptr;
    float norm_eps = 0;
  };
  CudaRopeKvStep(const AttentionFacts& facts, const Weights& weights, CudaKv kv, CudaPlace qkv, CudaPlace q)
      : CudaTailStep(RowCount::kTokens), facts_(facts), weights_(weights), kv_(kv), qkv_(qkv), q_(q) {}
  void complete(const CudaStepContext& context, DecodeProductArgs& args) const override;

 private:
  void launch(const CudaStepContext& context) const override;
  std::string own_kernel() const override;
  Cost own_cost(const BatchShape& shape) const override;

  GpuRopeKvArgs args(const CudaStepContext& context) const;

  AttentionFacts facts_;
  Weights weights_;
  CudaKv kv_;
  CudaPlace qkv_, q_;
};

class CudaAttentionStep final : public CudaStep {
 public:
  CudaAttentionStep(const CudaAttention& attention, CudaKv kv, CudaPlace q, CudaPlace out)
      : attention_(attention), kv_(kv), q_(q), out_(out) {}
  void run(const CudaStepContext& context) const override;
  std::string kernel() const override { return attention_.kernel(); }
  Cost cost(const BatchShape& shape) const override { return attention_.cost(shape); }

 private:
  const CudaAttention& attention_;
  CudaKv kv_;
  CudaPlace q_, out_;
};

// Scaling or a soft cap.
class CudaPointwiseStep final : public CudaStep {
 public:
  CudaPointwiseStep(float scale, float soft_cap, CudaPlace in, CudaPlace out)
      : scale_(scale), soft_cap_(soft_cap), in_(in), out_(out) {}
  void run(const CudaStepContext& context) const override;
  std::string kernel() const override;
  Cost cost(const BatchShape& shape) const override;

 private:
  float scale_, soft_cap_;
  CudaPlace in_, out_;
};

class CudaGluStep final : public CudaTailStep {
 public:
  CudaGluStep(Activation activation, CudaPlace in, CudaPlace out)
      : CudaTailStep(in.rows), activation_(activation), in_(in), out_(out) {}
  void complete(const CudaStepContext& context, DecodeProductArgs& args) const override;

 private:
  void launch(const CudaStepContext& context) const override;
  std::string own_kernel() const override;
  Cost own_cost(const BatchShape& shape) const override;

  Activation activation_;
  CudaPlace in_, out_;
};

}  // namespace tern
