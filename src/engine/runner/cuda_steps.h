// The steps of a CUDA executable, one class an op of the lowered program. Constructed by the binder in cuda_runner.cpp.
#pragma once

#include "engine/runner/cuda_arena.h"
#include "engine/runner/cuda_attention.h"
#include "engine/runner/cuda_step.h"
#include "kernels/activation/glu_gpu.h"
#include "kernels/norm/norm_gpu.h"
#include "kernels/rope/rope_gpu.h"

namespace tern {

class CudaEmbedStep final : public CudaStep {
 public:
  CudaEmbedStep(const std::byte* table, CudaPlace out) : table_(table), out_(out) {}
  void run(const CudaStepContext& context) const override;
  std::string kernel() const override;
  Cost cost(const BatchShape& shape) const override;

 private:
  const std::byte* table_;
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

// Norm alone (no delta) or behind a residual sum.
class CudaNormStep final : public CudaStep {
 public:
  CudaNormStep(const float* weight, float eps, CudaPlace in, CudaPlace delta, CudaPlace sum, CudaPlace out)
      : weight_(weight), eps_(eps), in_(in), delta_(delta), sum_(sum), out_(out) {}
  void run(const CudaStepContext& context) const override;
  std::string kernel() const override;
  Cost cost(const BatchShape& shape) const override;

 private:
  const float* weight_;
  float eps_;
  CudaPlace in_, delta_, sum_, out_;
};

class CudaRopeKvStep final : public CudaStep {
 public:
  CudaRopeKvStep(const AttentionFacts& facts, const float* cos, const float* sin, CudaKv kv, CudaPlace qkv, CudaPlace q)
      : facts_(facts), cos_(cos), sin_(sin), kv_(kv), qkv_(qkv), q_(q) {}
  void run(const CudaStepContext& context) const override;
  std::string kernel() const override;
  Cost cost(const BatchShape& shape) const override;

 private:
  AttentionFacts facts_;
  const float *cos_, *sin_;
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

class CudaGluStep final : public CudaStep {
 public:
  CudaGluStep(Activation activation, CudaPlace in, CudaPlace out) : activation_(activation), in_(in), out_(out) {}
  void run(const CudaStepContext& context) const override;
  std::string kernel() const override;
  Cost cost(const BatchShape& shape) const override;

 private:
  Activation activation_;
  CudaPlace in_, out_;
};

}  // namespace tern
