// How long a step takes, as the scheduler must guess it before: linear in what the step does. Plain values; the engine
// learns the rates from the steps that it has seen (StepCostFit), the simulator is given them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tern {

// What a step does, in the units that cost is linear in.
struct StepShape {
  int64_t tokens = 0;  // computed
  int64_t rows = 0;    // of logits
  int64_t pairs = 0;   // query-key pairs: the attention's work

  // A sequence's next `tokens` behind `history` others.
  void add(int64_t count, int64_t history, bool samples) {
    tokens += count;
    rows += samples ? 1 : 0;
    pairs += count * history + count * (count + 1) / 2;
  }
};

struct StepCost {
  double fixed_ns = 0, token_ns = 0, row_ns = 0, pair_ns = 0;
  bool known() const { return token_ns > 0; }
  double predict_ns(const StepShape& shape) const {
    return fixed_ns + token_ns * static_cast<double>(shape.tokens) + row_ns * static_cast<double>(shape.rows) +
           pair_ns * static_cast<double>(shape.pairs);
  }
  // The most of `wanted` tokens behind `history` that can join `shape` within `limit_ns`.
  int64_t tokens_within(const StepShape& shape, int64_t wanted, int64_t history, double limit_ns) const;
};

// Recursive least squares over (1, tokens, rows, pairs) with exponential forgetting (Ljung & Söderström 1983, ch. 2),
// each weighted by 1 / measured so that short steps count as much as long ones.
class StepCostFit {
 public:
  StepCostFit();
  void observe(const StepShape& shape, double measured_ns);
  // Rates below zero are noise and read as zero.
  StepCost cost() const;

 private:
  static constexpr size_t kTerms = 4;
  using Vector = std::array<double, kTerms>;
  Vector theta_{};
  std::array<Vector, kTerms> covariance_{};
  int64_t seen_ = 0;
};

}  // namespace tern
