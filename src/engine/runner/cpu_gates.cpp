#include "engine/runner/cpu_gates.h"

#include <algorithm>

#include "engine/runner/runner.h"
#include "kernels/activation/pointwise.h"
#include "kernels/activation/sigmoid.h"

namespace tern {

void HeadColumnsStep::run(const StepContext& context, const Team& team) const {
  const int64_t from = in_.cols / columns_.heads, to = out_.cols / columns_.heads;
  const Team::Range share = team.share(count_of(out_, context.shape));
  for (int64_t t = share.begin; t < share.end; ++t) {
    const float* in = in_.data + t * in_.stride + columns_.begin;
    float* out = out_.data + t * out_.stride;
    for (int64_t head = 0; head < columns_.heads; ++head) std::copy_n(in + head * from, to, out + head * to);
  }
}

Cost HeadColumnsStep::cost(const BatchShape& shape) const {
  const double bytes = 8.0 * static_cast<double>(count_of(out_, shape) * out_.cols);
  return {.bytes = bytes, .activations = bytes};
}

void SigmoidGateStep::run(const StepContext& context, const Team& team) const {
  const int64_t from = gate_.cols / columns_.heads, to = out_.cols / columns_.heads;
  const Team::Range share = team.share(count_of(out_, context.shape));
  for (int64_t t = share.begin; t < share.end; ++t) {
    const float* in = in_.data + t * in_.stride;
    const float* gate = gate_.data + t * gate_.stride + columns_.begin;
    float* out = out_.data + t * out_.stride;
    if (gate_.cols == 1) {
      scale_row(in, sigmoid(gate[0]), out, out_.cols);
      continue;
    }
    for (int64_t head = 0; head < columns_.heads; ++head) {
      sigmoid_gate_row(in + head * to, gate + head * from, out + head * to, to);
    }
  }
}

Cost SigmoidGateStep::cost(const BatchShape& shape) const {
  const auto elements = static_cast<double>(count_of(out_, shape) * out_.cols);
  const double bytes = (gate_.cols == 1 ? 8 : 12) * elements;
  return {.bytes = bytes, .ops = elements, .activations = bytes};
}

}  // namespace tern
