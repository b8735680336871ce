// The vector body of the row scan family, for a register type V (kernels/vector_*.h). Included by ISA files only.
#pragma once

#include "kernels/sample/row_scan_impl.h"

namespace tern {
namespace {

template <class V>
float scan_largest(const float* values, int64_t count) {
  typename V::Reg most = V::set1(-__builtin_inff());
  // max(0, x) is NaN for NaN, and a sum that holds a NaN stays one; nothing else makes it one.
  typename V::Reg poison = V::zero();
  int64_t i = 0;
  for (; i + V::kWidth <= count; i += V::kWidth) {
    const typename V::Reg x = V::load(values + i);
    most = V::max(most, x);
    poison = V::add(poison, V::max(V::zero(), x));
  }
  if (i < count) {
    const typename V::Reg x = V::load(values + i, count - i);
    most = V::max(most, V::keep_range(x, 0, count - i));
    poison = V::add(poison, V::max(V::zero(), x));
  }
  const float sum = V::reduce_add(poison);
  return sum != sum ? sum : V::reduce_max(most);
}

template <class V>
void scan_weigh(const float* values, int64_t count, float best, float scale, float* weights, float* lanes) {
  constexpr int kRegs = static_cast<int>(kScanLanes / V::kWidth);
  const typename V::Reg top = V::set1(best), factor = V::set1(scale), least = V::set1(kLeastWeight);
  typename V::Reg sums[kRegs];
  for (int r = 0; r < kRegs; ++r) sums[r] = V::zero();
  for (int64_t i = 0; i < count; i += kScanLanes) {
    for (int r = 0; r < kRegs; ++r) {
      const int64_t at = i + r * V::kWidth, rest = count - at;
      typename V::Reg x = V::zero();
      if (rest >= V::kWidth) {
        x = V::load(values + at);
      } else if (rest > 0) {
        x = V::keep_range(V::load(values + at, rest), 0, rest);
      } else {
        x = V::set1(-__builtin_inff());
      }
      const typename V::Reg power = V::exp2_of_negative(V::mul(V::sub(x, top), factor));
      const typename V::Reg weight = V::max(V::sub(power, least), V::zero());
      V::store(weights + at, weight);
      sums[r] = V::add(sums[r], weight);
    }
  }
  for (int r = 0; r < kRegs; ++r) V::store(lanes + r * V::kWidth, sums[r]);
}

}  // namespace
}  // namespace tern
