#include "quant/kv_int8.h"

#include <algorithm>
#include <cmath>

namespace tern {

float encode_kv_int8(const float* x, int64_t count, int8_t* codes) {
  float largest = 0, poison = 0;
  for (int64_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::abs(x[i]));
    poison += x[i] * 0.0f;  // 0, or NaN
  }
  const bool usable = largest >= kKvInt8Tiny && std::isfinite(largest) && poison == 0;
  const float inverse = usable ? 127.0f / largest : 0.0f;
  for (int64_t i = 0; i < count; ++i)
    codes[i] = usable ? static_cast<int8_t>(std::nearbyint(x[i] * inverse)) : int8_t{0};
  return (largest >= kKvInt8Tiny ? largest / 127.0f : 0.0f) + poison;
}

}  // namespace tern
