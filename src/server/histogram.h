// How often values fell between fixed bounds, as Prometheus wants it. One thread at a time; observing is a short search
// and three additions, because it happens for each token.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace tern {

class Histogram {
 public:
  // `bounds` ascend and outlive the histogram; what is above the last is counted too.
  explicit Histogram(std::span<const double> bounds) : bounds_(bounds), counts_(bounds.size() + 1) {}

  void observe(double value) {
    const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
    ++counts_[static_cast<size_t>(bucket)];
    sum_ += value;
  }

  std::span<const double> bounds() const { return bounds_; }
  // [bounds + 1] values up to each bound and above the one before; the last: above all
  std::span<const int64_t> counts() const { return counts_; }
  double sum() const { return sum_; }

 private:
  std::span<const double> bounds_;
  std::vector<int64_t> counts_;
  double sum_ = 0;
};

}  // namespace tern
