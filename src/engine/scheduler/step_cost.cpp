#include "engine/scheduler/step_cost.h"

#include <algorithm>

namespace tern {
namespace {

// Units that bring a usual step's terms near 1, so that one starting covariance fits all of them.
constexpr std::array<double, 4> kScale = {1.0, 64.0, 8.0, 16384.0};
constexpr double kForget = 0.99;  // of the order of the last 100 steps
constexpr double kStartVariance = 1e4;
constexpr int64_t kEnough = 3;  // observations before the guess is worth anything

}  // namespace

int64_t StepCost::tokens_within(const StepShape& shape, int64_t wanted, int64_t history, double limit_ns) const {
  int64_t fits = 0, beyond = wanted + 1;
  while (beyond - fits > 1) {
    const int64_t middle = fits + (beyond - fits) / 2;
    StepShape with = shape;
    with.add(middle, history, true);
    (predict_ns(with) <= limit_ns ? fits : beyond) = middle;
  }
  return fits;
}

StepCostFit::StepCostFit() {
  for (size_t i = 0; i < kTerms; ++i) covariance_[i][i] = kStartVariance;
}

void StepCostFit::observe(const StepShape& shape, double measured_ns) {
  if (measured_ns <= 0) return;
  const double weight = 1.0 / measured_ns;
  const Vector terms = {weight, weight * static_cast<double>(shape.tokens) / kScale[1],
                        weight * static_cast<double>(shape.rows) / kScale[2],
                        weight * static_cast<double>(shape.pairs) / kScale[3]};
  // The target is 1 in units of the measurement; terms are scaled to milliseconds to keep numbers near 1.
  constexpr double kUnit = 1e6;
  Vector x{}, gain{};
  for (size_t i = 0; i < kTerms; ++i) x[i] = terms[i] * kUnit;
  double spread = kForget, error = 1.0;
  for (size_t i = 0; i < kTerms; ++i) {
    for (size_t j = 0; j < kTerms; ++j) gain[i] += covariance_[i][j] * x[j];
    spread += x[i] * gain[i];
    error -= theta_[i] * x[i];
  }
  for (size_t i = 0; i < kTerms; ++i) {
    theta_[i] += gain[i] / spread * error;
    for (size_t j = 0; j < kTerms; ++j) {
      covariance_[i][j] = (covariance_[i][j] - gain[i] * gain[j] / spread) / kForget;
    }
  }
  // Forgetting what is not seen again must not let the matrix grow without bound.
  double largest = 0;
  for (size_t i = 0; i < kTerms; ++i) largest = std::max(largest, covariance_[i][i]);
  if (largest > kStartVariance) {
    for (Vector& row : covariance_) {
      for (double& entry : row) entry *= kStartVariance / largest;
    }
  }
  ++seen_;
}

StepCost StepCostFit::cost() const {
  if (seen_ < kEnough) return {};
  constexpr double kUnit = 1e6;
  const auto rate = [&](size_t i) { return std::max(theta_[i] * kUnit / kScale[i], 0.0); };
  return {rate(0), rate(1), rate(2), rate(3)};
}

}  // namespace tern
