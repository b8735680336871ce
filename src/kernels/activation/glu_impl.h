// What one implementation of the gated activation family exports. ISA files include this. Elementwise: bits depend on
// the element alone (vector tails do the same operations as whole vectors).
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern {

enum class Activation : uint8_t {
  kSilu,
  kGelu,
  kGeluTanh,
  // g * sigmoid(1.702 g) * (u + 1) of g = min(gate, 7) and u = up within [-7, 7]: no function of the gate alone, so it
  // occurs in gated products only.
  kClampedSwiglu,
};
inline constexpr float kClampedSwigluSlope = 1.702f, kClampedSwigluLimit = 7.0f;

struct GluImpl {
  const char* name;
  uint32_t needs;  // IsaBits
  bool (*supports)(Activation);
  // out[i] = act(gate[i]) * up[i], i in [0, count).
  void (*run)(Activation, const float* gate, const float* up, float* out, int64_t count);
};

struct GluImplSpan {
  const GluImpl* rows;
  int count;
};

extern const GluImplSpan kGluAvx512;
extern const GluImplSpan kGluAvx2;
extern const GluImplSpan kGluRef;

}  // namespace tern
