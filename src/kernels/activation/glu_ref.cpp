// The meaning of the gated activation family: the activation, then the product.
#include <cmath>

#include "kernels/activation/glu_impl.h"
#include "kernels/isa.h"

namespace tern {
namespace {

float silu(float x) { return x / (1.0f + std::exp(-x)); }

float gelu(float x) { return 0.5f * x * (1.0f + std::erf(x * 0.70710678118654752f)); }

// Hendrycks & Gimpel 2016: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
float gelu_tanh(float x) { return 0.5f * x * (1.0f + std::tanh(0.79788456080286536f * (x + 0.044715f * x * x * x))); }

float activate(Activation activation, float x) {
  switch (activation) {
    case Activation::kSilu:
      return silu(x);
    case Activation::kGelu:
      return gelu(x);
    case Activation::kGeluTanh:
      return gelu_tanh(x);
    case Activation::kClampedSwiglu:
      break;
  }
  return x;
}

float clamped_swiglu(float gate, float up) {
  const float g = gate > kClampedSwigluLimit ? kClampedSwigluLimit : gate;
  const float bounded = up > kClampedSwigluLimit    ? kClampedSwigluLimit
                        : up < -kClampedSwigluLimit ? -kClampedSwigluLimit
                                                    : up;
  return g / (1.0f + std::exp(-kClampedSwigluSlope * g)) * (bounded + 1.0f);
}

bool supports(Activation) { return true; }

void run(Activation activation, const float* gate, const float* up, float* out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    out[i] = activation == Activation::kClampedSwiglu ? clamped_swiglu(gate[i], up[i])
                                                      : activate(activation, gate[i]) * up[i];
  }
}

const GluImpl kRows[] = {{"ref", kIsaNone, supports, run}};

}  // namespace

const GluImplSpan kGluRef = {kRows, 1};

}  // namespace tern
