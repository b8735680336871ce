// The vector body of the gated activation family, for a register type V (kernels/vector_*.h). Included by ISA files
// only.
#pragma once

#include "kernels/activation/glu_impl.h"

namespace tern {
namespace {

struct SiluLanes {
  template <class V>
  static typename V::Reg apply(typename V::Reg x) {
    const typename V::Reg one = V::set1(1.0f);
    return V::div(x, V::add(one, V::exp(V::sub(V::zero(), x))));
  }
};

// 0.5 x (1 + tanh(u)) = x / (1 + e^(-2u)) with u = sqrt(2 / pi) (x + 0.044715 x^3).
struct GeluTanhLanes {
  template <class V>
  static typename V::Reg apply(typename V::Reg x) {
    const typename V::Reg one = V::set1(1.0f);
    const typename V::Reg inner = V::mul(x, V::fma(V::mul(V::set1(0.044715f), x), x, one));
    return V::div(x, V::add(one, V::exp(V::mul(V::set1(-1.59576912f), inner))));
  }
};

template <class V, class Act>
void glu_lanes(const float* gate, const float* up, float* out, int64_t count) {
  int64_t i = 0;
  for (; i + V::kWidth <= count; i += V::kWidth) {
    V::store(out + i, V::mul(Act::template apply<V>(V::load(gate + i)), V::load(up + i)));
  }
  if (i < count) {
    const int64_t rest = count - i;
    V::store(out + i, V::mul(Act::template apply<V>(V::load(gate + i, rest)), V::load(up + i, rest)), rest);
  }
}

// The exact GELU has no vector form here: the reference takes it.
bool glu_supports(Activation activation) {
  return activation == Activation::kSilu || activation == Activation::kGeluTanh;
}

template <class V>
void glu_run(Activation activation, const float* gate, const float* up, float* out, int64_t count) {
  if (activation == Activation::kSilu) {
    glu_lanes<V, SiluLanes>(gate, up, out, count);
  } else {
    glu_lanes<V, GeluTanhLanes>(gate, up, out, count);
  }
}

}  // namespace
}  // namespace tern
