// The step of a short convolution on the CPU.
#pragma once

#include <vector>

#include "engine/runner/cpu_arena.h"
#include "engine/runner/cpu_step.h"
#include "engine/runner/runner.h"
#include "kernels/conv/short_conv.h"

namespace tern {

class ShortConvStep final : public CpuStep {
 public:
  // weight: [channels, length]
  ShortConvStep(std::vector<float> weight, const StateView& state, size_t group, Place in, Place out)
      : weight_(std::move(weight)), state_(state), group_(group), in_(in), out_(out) {}

  void run(const StepContext& context, const Team& team) const override {
    short_conv({.in = in_.data,
                .in_stride = in_.stride,
                .out = out_.data,
                .out_stride = out_.stride,
                .weight = weight_.data(),
                .channels = out_.cols,
                .length = length(),
                .state = state_,
                .batch = context.batch.shape(group_)},
               team);
  }
  std::string kernel() const override { return "loop"; }
  Cost cost(const BatchShape& shape) const override {
    const auto elements = static_cast<double>(count_of(out_, shape) * out_.cols);
    return {.bytes = 16 * elements,
            .ops = elements * (2 * static_cast<double>(length()) + 2),
            .activations = 16 * elements};
  }

 private:
  int64_t length() const { return static_cast<int64_t>(weight_.size()) / out_.cols; }

  std::vector<float> weight_;
  StateView state_;
  size_t group_;
  Place in_, out_;
};

}  // namespace tern
