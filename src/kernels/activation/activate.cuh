// The activations of gated products on a GPU. Device code only.
#pragma once

#include "kernels/activation/glu_impl.h"

namespace tern::gpu {

template <Activation A>
__device__ inline float activate(float x) {
  if constexpr (A == Activation::kSilu) return x / (1.0f + __expf(-x));
  if constexpr (A == Activation::kGelu) return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
  // Hendrycks & Gimpel 2016: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
  return 0.5f * x * (1.0f + tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x)));
}

__device__ inline float activate(Activation activation, float x) {
  if (activation == Activation::kSilu) return activate<Activation::kSilu>(x);
  return activation == Activation::kGelu ? activate<Activation::kGelu>(x) : activate<Activation::kGeluTanh>(x);
}

}  // namespace tern::gpu
