// The steps of a mixture of experts on the CPU. The visits of a step's tokens to their experts, sorted by expert, go
// through all experts' gate and up products together, the activation, and all their down products together; then each
// token adds up what its own experts made, in rising order, so that its sum has one order whoever else is in the batch.
#pragma once

#include <vector>

#include "device/buffer.h"
#include "engine/runner/cpu_arena.h"
#include "engine/runner/cpu_step.h"
#include "kernels/activation/glu.h"
#include "kernels/linear/linear.h"
#include "kernels/moe/route.h"

namespace tern {

// The experts that each token goes to, and what they count.
class RouteStep final : public CpuStep {
 public:
  // bias: [experts] of where they are chosen, or empty.
  RouteStep(const RouteFacts& facts, std::vector<float> bias, Place scores, Place route)
      : facts_(facts), bias_(std::move(bias)), scores_(scores), route_(route) {}
  void run(const StepContext& context, const Team& team) const override;
  std::string kernel() const override { return "loop"; }
  Cost cost(const BatchShape& shape) const override;

 private:
  RouteFacts facts_;
  std::vector<float> bias_;
  Place scores_, route_;
};

// What visits pass through, reserved once for all layers: they run one after the other.
class ExpertVisits {
 public:
  struct Visit {
    int32_t expert, token;
    float weight;
  };
  // Makes the row of a visit of one expert, as LinearRow.
  struct Gather {
    const Place* x;
    const Visit* first;
    const float* operator()(int64_t visit, bool, float*) const { return x->data + first[visit].token * x->stride; }
  };

  // Before reserve(), for each product of the model's experts.
  void add(const Linear& linear);
  // For `tokens` and a team of `workers`.
  void reserve(int64_t tokens, const RouteFacts& facts, int64_t hidden, int64_t ffn, int workers);
  // By one worker, before the others go on: who visits whom, as tasks of products.
  void sort(const Place& route, const Place& x, int64_t tokens, const RouteFacts& facts,
            const std::vector<const Linear*>& gate_up, const std::vector<const Linear*>& down);
  uint64_t bytes() const;

  int64_t count = 0;           // of this step
  std::vector<Visit> visits;   // by expert, then by token
  std::vector<int64_t> place;  // [tokens, used] a token's visits, by expert
  std::vector<LinearTask> gate_up_tasks, down_tasks;
  float *gate_up = nullptr, *product = nullptr, *out = nullptr;  // [visits, 2 * ffn], [visits, ffn], [visits, hidden]
  std::byte* scratch = nullptr;

 private:
  std::vector<Gather> gathers_;
  std::vector<int32_t> seen_;  // [tokens] visits that have their place
  std::vector<float> floats_;
  Buffer workspace_;
  std::byte* prepared_ = nullptr;
  uint64_t row_bytes_ = 0, scratch_bytes_ = 0;  // of the widest product: a prepared row, a worker's scratch
};

class ExpertsStep final : public CpuStep {
 public:
  // gate_up and down: one an expert; both, and `visits`, outlive this.
  ExpertsStep(const RouteFacts& facts, Glu glu, std::vector<const Linear*> gate_up, std::vector<const Linear*> down,
              Place x, Place route, Place out, ExpertVisits& visits)
      : facts_(facts),
        glu_(glu),
        gate_up_(std::move(gate_up)),
        down_(std::move(down)),
        x_(x),
        route_(route),
        out_(out),
        visits_(visits) {}
  void run(const StepContext& context, const Team& team) const override;
  std::string kernel() const override { return gate_up_[0]->kernel_names() + " > " + glu_.kernel_name(); }
  Cost cost(const BatchShape& shape) const override;

 private:
  void scale_visits(const Team& team) const;
  void add_up(int64_t token) const;

  RouteFacts facts_;
  Glu glu_;
  std::vector<const Linear*> gate_up_, down_;
  Place x_, route_, out_;
  ExpertVisits& visits_;
};

}  // namespace tern
