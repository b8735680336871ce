// The steps of a mixture of experts on a GPU: the router, and the experts' gated products of all visits at once.
#pragma once

#include "engine/runner/cuda_arena.h"
#include "engine/runner/cuda_step.h"
#include "engine/runner/cuda_weights.h"
#include "kernels/moe/moe_gpu.h"

namespace tern {

class CudaRouteStep final : public CudaStep {
 public:
  CudaRouteStep(const RouteFacts& facts, CudaPlace scores, CudaPlace route)
      : facts_(facts), scores_(scores), route_(route) {}
  void run(const CudaStepContext& context) const override;
  std::string kernel() const override;
  Cost cost(const BatchShape& shape) const override;

 private:
  RouteFacts facts_;
  CudaPlace scores_, route_;
};

// What the experts' products of one step leave for each other: steps use it one after the other. Outlives the steps.
class CudaVisits {
 public:
  // Sizes are asked for while steps are bound, memory is reserved once.
  void need(int64_t tokens, const RouteFacts& facts, int64_t hidden, int64_t ffn);
  void reserve();
  uint64_t bytes() const { return order_.bytes() + tiles_.bytes() + products_.bytes() + outs_.bytes(); }

  int32_t* order() const { return reinterpret_cast<int32_t*>(order_.data()); }
  ExpertTile* tiles() const { return reinterpret_cast<ExpertTile*>(tiles_.data()); }
  std::byte* products() const { return products_.data(); }  // bf16 [visits, ffn]
  std::byte* outs() const { return outs_.data(); }          // bf16 [visits, hidden]

 private:
  int64_t visits_ = 0, tile_count_ = 0, product_count_ = 0, out_count_ = 0;
  CudaMemory order_, tiles_, products_, outs_;
};

class CudaExpertsStep final : public CudaStep {
 public:
  struct Weights {
    CudaMatrix gate_up;  // [experts, gate over up]
    CudaMatrix down;
  };
  CudaExpertsStep(const RouteFacts& facts, Activation activation, const Weights& weights, const CudaVisits& visits,
                  CudaPlace x, CudaPlace route, CudaPlace out, int64_t ffn)
      : facts_(facts),
        activation_(activation),
        weights_(weights),
        visits_(visits),
        x_(x),
        route_(route),
        out_(out),
        ffn_(ffn) {}
  void run(const CudaStepContext& context) const override;
  std::string kernel() const override;
  Cost cost(const BatchShape& shape) const override;

 private:
  void multiply(const CudaStepContext& context, int64_t tiles) const;

  RouteFacts facts_;
  Activation activation_;
  Weights weights_;
  const CudaVisits& visits_;
  CudaPlace x_, route_, out_;
  int64_t ffn_;
};

}  // namespace tern
