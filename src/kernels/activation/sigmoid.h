// The logistic function, f32. Plain; any thread.
#pragma once

#include <cmath>

namespace tern {

inline float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

}  // namespace tern
