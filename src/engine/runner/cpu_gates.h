// Steps of gated attention and of gated experts on the CPU.
#pragma once

#include "engine/runner/cpu_arena.h"
#include "engine/runner/cpu_step.h"
#include "model/program.h"

namespace tern {

// Of each head some columns.
class HeadColumnsStep final : public CpuStep {
 public:
  HeadColumnsStep(const HeadColumns& columns, Place in, Place out) : columns_(columns), in_(in), out_(out) {}
  void run(const StepContext& context, const Team& team) const override;
  std::string kernel() const override { return "copy"; }
  Cost cost(const BatchShape& shape) const override;

 private:
  HeadColumns columns_;
  Place in_, out_;
};

class SigmoidGateStep final : public CpuStep {
 public:
  // gate: one column, or those `columns` of each head.
  SigmoidGateStep(const HeadColumns& columns, Place in, Place gate, Place out)
      : columns_(columns), in_(in), gate_(gate), out_(out) {}
  void run(const StepContext& context, const Team& team) const override;
  std::string kernel() const override { return "loop"; }
  Cost cost(const BatchShape& shape) const override;

 private:
  HeadColumns columns_;
  Place in_, gate_, out_;
};

}  // namespace tern
