// The step of a mixture of experts on the CPU: for each expert that anybody goes to, its tokens' rows are gathered, go
// through its two products as dense ones do, and are added to the tokens' outputs by weight. Experts come in rising
// order, so a token's sum has one order whoever else is in the batch.
#pragma once

#include <span>
#include <vector>

#include "engine/runner/cpu_arena.h"
#include "engine/runner/cpu_step.h"
#include "kernels/activation/glu.h"
#include "kernels/linear/linear.h"
#include "kernels/moe/route.h"

namespace tern {

// The experts that each token goes to, and what they count.
class RouteStep final : public CpuStep {
 public:
  RouteStep(const RouteFacts& facts, Place scores, Place route) : facts_(facts), scores_(scores), route_(route) {}
  void run(const StepContext& context, const Team& team) const override;
  std::string kernel() const override { return "loop"; }
  Cost cost(const BatchShape& shape) const override;

 private:
  RouteFacts facts_;
  Place scores_, route_;
};

// Rows that an expert's tokens pass through, for all layers: they run one after the other.
struct ExpertRows {
  ExpertRows() = default;
  ExpertRows(int64_t tokens, int64_t hidden, int64_t ffn);
  uint64_t bytes() const { return floats.size() * sizeof(float) + order.size() * sizeof(Visit); }

  struct Visit {
    int32_t expert, token;
    float weight;
  };
  std::vector<float> floats;
  std::vector<Visit> order;  // by expert, then by token
  size_t visits = 0;
  float *x = nullptr, *gate_up = nullptr, *product = nullptr, *out = nullptr;
  void reserve_visits(int64_t most) { order.resize(static_cast<size_t>(most)); }
};

class ExpertsStep final : public CpuStep {
 public:
  // gate_up and down: one an expert; both, and `rows`, outlive this.
  ExpertsStep(const RouteFacts& facts, Glu glu, std::vector<const Linear*> gate_up, std::vector<const Linear*> down,
              Place x, Place route, Place out, ExpertRows& rows)
      : facts_(facts),
        glu_(glu),
        gate_up_(std::move(gate_up)),
        down_(std::move(down)),
        x_(x),
        route_(route),
        out_(out),
        rows_(rows) {}
  void run(const StepContext& context, const Team& team) const override;
  std::string kernel() const override { return gate_up_[0]->kernel_names() + " > " + glu_.kernel_name(); }
  Cost cost(const BatchShape& shape) const override;

 private:
  void sort_visits(int64_t tokens) const;
  void run_expert(const StepContext& context, const Team& team, std::span<const ExpertRows::Visit> visits) const;

  RouteFacts facts_;
  Glu glu_;
  std::vector<const Linear*> gate_up_, down_;
  Place x_, route_, out_;
  ExpertRows& rows_;
};

}  // namespace tern
