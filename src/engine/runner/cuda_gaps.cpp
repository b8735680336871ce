#include "engine/runner/cuda_gaps.h"

#include <algorithm>

#include "core/error.h"

namespace tern {

void CudaStepGaps::begin(void* stream) {
  TERN_CHECK(begun_ - finished_ < kDepth);
  Step& next = step(begun_);
  next.follows = begun_ > finished_;
  next.begin.record(stream);
  ++begun_;
}

void CudaStepGaps::end(void* stream) { step(begun_ - 1).end.record(stream); }

void CudaStepGaps::finished() {
  TERN_CHECK(finished_ < begun_);
  const uint64_t number = finished_++;
  if (!step(number).follows) return;
  gaps_us_[count_++ % kKept] = step(number).begin.us_since(step(number - 1).end);
}

std::optional<double> CudaStepGaps::median_us() const {
  if (count_ == 0) return std::nullopt;
  std::array<double, kKept> sorted = gaps_us_;
  auto* const end = sorted.begin() + std::min(count_, kKept);
  auto* const middle = sorted.begin() + (end - sorted.begin()) / 2;
  std::nth_element(sorted.begin(), middle, end);
  return *middle;
}

}  // namespace tern
