// The vector body of the norm family, for a register type V (kernels/vector_*.h). Included by ISA files only.
//
// Sum of squares: vector j of the row goes to sum j % 4; then (s0 + s1) + (s2 + s3), then V::reduce_add. The row's tail
// is a vector padded with zeros.
#pragma once

#include "kernels/norm/norm_impl.h"

namespace tern {
namespace {

template <class V>
void norm_row(const float* x, const float* delta, float* sum, const float* weight, float* out, int64_t cols,
              float eps) {
  constexpr int64_t kW = V::kWidth;
  typename V::Reg squares[4] = {V::zero(), V::zero(), V::zero(), V::zero()};
  const float* source = delta != nullptr ? sum : x;
  int64_t i = 0;
  for (; i + 4 * kW <= cols; i += 4 * kW) {
#pragma GCC unroll 4
    for (int64_t j = 0; j < 4; ++j) {
      typename V::Reg a = V::load(x + i + j * kW);
      if (delta != nullptr) {
        a = V::add(a, V::load(delta + i + j * kW));
        V::store(sum + i + j * kW, a);
      }
      squares[j] = V::fma(a, a, squares[j]);
    }
  }
#pragma GCC unroll 4
  for (int64_t j = 0; j < 4; ++j) {
    const int64_t count = cols - i - j * kW;
    if (count <= 0) continue;
    typename V::Reg a = V::load(x + i + j * kW, count);
    if (delta != nullptr) {
      a = V::add(a, V::load(delta + i + j * kW, count));
      V::store(sum + i + j * kW, a, count);
    }
    squares[j] = V::fma(a, a, squares[j]);
  }
  const float total = V::reduce_add(V::add(V::add(squares[0], squares[1]), V::add(squares[2], squares[3])));
  const float scale = 1.0f / __builtin_sqrtf(total / static_cast<float>(cols) + eps);
  const typename V::Reg scales = V::set1(scale);
  i = 0;
  for (; i + kW <= cols; i += kW) {
    V::store(out + i, V::mul(V::mul(V::load(source + i), scales), V::load(weight + i)));
  }
  if (i < cols) {
    const int64_t count = cols - i;
    V::store(out + i, V::mul(V::mul(V::load(source + i, count), scales), V::load(weight + i, count)), count);
  }
}

template <class V>
void norm_rows(const NormArgs& args, int64_t begin, int64_t end) {
  for (int64_t t = begin; t < end; ++t) {
    const int64_t at = t * args.cols;
    norm_row<V>(args.x + at, args.delta != nullptr ? args.delta + at : nullptr,
                args.delta != nullptr ? args.sum + at : nullptr, args.weight, args.out + at, args.cols, args.eps);
  }
}

}  // namespace
}  // namespace tern
