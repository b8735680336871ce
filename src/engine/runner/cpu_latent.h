// The steps of attention over a latent on the CPU that other attention does not have.
#pragma once

#include <vector>

#include "engine/runner/cpu_arena.h"
#include "engine/runner/cpu_step.h"
#include "kernels/linear/linear.h"
#include "kernels/norm/norm.h"
#include "model/program.h"

namespace tern {

// The key of all heads: the part that will rotate, then the normed latent.
class LatentKeyStep final : public CpuStep {
 public:
  LatentKeyStep(RmsNorm norm, std::vector<float> weight, float eps, Place in, Place out)
      : norm_(norm), weight_(std::move(weight)), eps_(eps), in_(in), out_(out) {}
  void run(const StepContext& context, const Team& team) const override;
  std::string kernel() const override { return norm_.kernel_name(); }
  Cost cost(const BatchShape& shape) const override;

 private:
  RmsNorm norm_;
  std::vector<float> weight_;  // [rank]
  float eps_;
  Place in_, out_;
};

// A product of each head with its own matrix; heads are taken some at a time, those together.
class HeadProductStep final : public CpuStep {
 public:
  // products: one a head, alike but for their weights; they outlive this.
  HeadProductStep(const HeadColumns& columns, std::vector<const Linear*> products, Place in, Place out)
      : columns_(columns), products_(std::move(products)), in_(in), out_(out) {}
  static uint64_t workspace_bytes(const Linear& product, int64_t tokens, int workers);
  void run(const StepContext& context, const Team& team) const override;
  std::string kernel() const override { return products_[0]->kernel_names(); }
  Cost cost(const BatchShape& shape) const override;

 private:
  void copy_kept(int64_t tokens, const Team& team) const;

  HeadColumns columns_;
  std::vector<const Linear*> products_;
  Place in_, out_;
};

}  // namespace tern
