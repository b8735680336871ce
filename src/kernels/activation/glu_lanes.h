// The vector body of the gated activation family, for a register type V (kernels/vector_*.h). Included by ISA files
// only.
#pragma once

#include "kernels/activation/glu_impl.h"

namespace tern {
namespace {

struct SiluLanes {
  template <class V>
  static typename V::Reg apply(typename V::Reg x, typename V::Reg up) {
    const typename V::Reg one = V::set1(1.0f);
    return V::mul(V::div(x, V::add(one, V::exp(V::sub(V::zero(), x)))), up);
  }
};

// 0.5 x (1 + tanh(u)) = x / (1 + e^(-2u)) with u = sqrt(2 / pi) (x + 0.044715 x^3).
struct GeluTanhLanes {
  template <class V>
  static typename V::Reg apply(typename V::Reg x, typename V::Reg up) {
    const typename V::Reg one = V::set1(1.0f);
    const typename V::Reg inner = V::mul(x, V::fma(V::mul(V::set1(0.044715f), x), x, one));
    return V::mul(V::div(x, V::add(one, V::exp(V::mul(V::set1(-1.59576912f), inner)))), up);
  }
};

// x / 2 (1 + erf(x / sqrt 2)), by Abramowitz & Stegun 7.1.26: erf(y) = 1 - (a1 t + ... + a5 t^5) e^(-y^2) for y >= 0
// with t = 1 / (1 + 0.3275911 y), within 1.5e-7.
struct GeluLanes {
  template <class V>
  static typename V::Reg apply(typename V::Reg x, typename V::Reg up) {
    const typename V::Reg one = V::set1(1.0f), y = V::mul(V::abs(x), V::set1(0.70710678f));
    const typename V::Reg t = V::div(one, V::fma(V::set1(0.3275911f), y, one));
    typename V::Reg p = V::set1(1.061405429f);
    p = V::fma(p, t, V::set1(-1.453152027f));
    p = V::fma(p, t, V::set1(1.421413741f));
    p = V::fma(p, t, V::set1(-0.284496736f));
    p = V::mul(V::fma(p, t, V::set1(0.254829592f)), t);
    const typename V::Reg rest = V::mul(p, V::exp(V::sub(V::zero(), V::mul(y, y))));
    const typename V::Reg erf = V::copy_sign(V::sub(one, rest), x);
    return V::mul(V::mul(V::mul(V::set1(0.5f), x), V::add(one, erf)), up);
  }
};

struct ClampedSwigluLanes {
  template <class V>
  static typename V::Reg at_most(typename V::Reg x) {
    const typename V::Reg negative = V::sub(V::zero(), x);
    return V::sub(V::zero(), V::max(V::set1(-kClampedSwigluLimit), negative));
  }
  template <class V>
  static typename V::Reg apply(typename V::Reg x, typename V::Reg up) {
    const typename V::Reg one = V::set1(1.0f), gate = at_most<V>(x);
    const typename V::Reg bounded = V::max(V::set1(-kClampedSwigluLimit), at_most<V>(up));
    const typename V::Reg silu = V::div(gate, V::add(one, V::exp(V::mul(V::set1(-kClampedSwigluSlope), gate))));
    return V::mul(silu, V::add(bounded, one));
  }
};

template <class V, class Act>
void glu_lanes(const float* gate, const float* up, float* out, int64_t count) {
  int64_t i = 0;
  for (; i + V::kWidth <= count; i += V::kWidth) {
    V::store(out + i, Act::template apply<V>(V::load(gate + i), V::load(up + i)));
  }
  if (i < count) {
    const int64_t rest = count - i;
    V::store(out + i, Act::template apply<V>(V::load(gate + i, rest), V::load(up + i, rest)), rest);
  }
}

bool glu_supports(Activation) { return true; }

template <class V>
void glu_run(Activation activation, const float* gate, const float* up, float* out, int64_t count) {
  if (activation == Activation::kSilu) {
    glu_lanes<V, SiluLanes>(gate, up, out, count);
  } else if (activation == Activation::kClampedSwiglu) {
    glu_lanes<V, ClampedSwigluLanes>(gate, up, out, count);
  } else if (activation == Activation::kGelu) {
    glu_lanes<V, GeluLanes>(gate, up, out, count);
  } else {
    glu_lanes<V, GeluTanhLanes>(gate, up, out, count);
  }
}

}  // namespace
}  // namespace tern
