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

// Sum of visit(x) over the row: vector j goes to sum j % 4, as above; elements behind the last whole vector are added
// to their total one by one.
template <class V, class Visit>
float sum_row(const float* x, int64_t cols, const Visit& visit) {
  constexpr int64_t kW = V::kWidth;
  typename V::Reg sums[4] = {V::zero(), V::zero(), V::zero(), V::zero()};
  int64_t j = 0, i = 0;
  for (; i + kW <= cols; i += kW, j = (j + 1) % 4) sums[j] = V::add(sums[j], visit(V::load(x + i)));
  float total = V::reduce_add(V::add(V::add(sums[0], sums[1]), V::add(sums[2], sums[3])));
  if (i < cols) {
    float rest[V::kWidth];
    V::store(rest, visit(V::load(x + i, cols - i)));
    for (int64_t k = 0; k < cols - i; ++k) total += rest[k];
  }
  return total;
}

template <class V>
void layer_norm_row(const NormArgs& args, const float* x, float* out) {
  constexpr int64_t kW = V::kWidth;
  const auto count = static_cast<float>(args.cols);
  const float mean = sum_row<V>(x, args.cols, [](typename V::Reg a) { return a; }) / count;
  const typename V::Reg means = V::set1(mean);
  const float squares = sum_row<V>(x, args.cols, [&](typename V::Reg a) {
    const typename V::Reg b = V::sub(a, means);
    return V::mul(b, b);
  });
  const typename V::Reg scales = V::set1(1.0f / __builtin_sqrtf(squares / count + args.eps));
  for (int64_t i = 0; i < args.cols; i += kW) {
    const int64_t n = args.cols - i < kW ? args.cols - i : kW;
    const typename V::Reg bias = args.bias != nullptr ? V::load(args.bias + i, n) : V::zero();
    const typename V::Reg y = V::mul(V::sub(V::load(x + i, n), means), scales);
    V::store(out + i, V::fma(y, V::load(args.weight + i, n), bias), n);
  }
}

template <class V>
void layer_norm(const NormArgs& args, int64_t at) {
  const float* x = args.x + at;
  if (args.delta != nullptr) {
    for (int64_t i = 0; i < args.cols; i += V::kWidth) {
      const int64_t n = args.cols - i < V::kWidth ? args.cols - i : V::kWidth;
      V::store(args.sum + at + i, V::add(V::load(x + i, n), V::load(args.delta + at + i, n)), n);
    }
    x = args.sum + at;
  }
  layer_norm_row<V>(args, x, args.out + at);
}

template <class V>
void norm_rows(const NormArgs& args, int64_t begin, int64_t end) {
  for (int64_t t = begin; t < end; ++t) {
    const int64_t at = t * args.cols;
    if (args.centered) {
      layer_norm<V>(args, at);
      continue;
    }
    norm_row<V>(args.x + at, args.delta != nullptr ? args.delta + at : nullptr,
                args.delta != nullptr ? args.sum + at : nullptr, args.weight, args.out + at, args.cols, args.eps);
  }
}

}  // namespace
}  // namespace tern
