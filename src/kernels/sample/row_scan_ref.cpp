// The meaning of the row scan family, element by element in the operations that the vector files use.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/isa.h"
#include "kernels/sample/row_scan_impl.h"
#include "kernels/vector_element.h"

namespace tern {
namespace {

float largest(const float* values, int64_t count) {
  float most = -std::numeric_limits<float>::infinity();
  for (int64_t i = 0; i < count; ++i) {
    if (values[i] != values[i]) return values[i];
    most = std::max(most, values[i]);
  }
  return most;
}

float exp2_of_negative(float x) {
  x = std::max(x, kExp2Lowest);
  const float n = std::nearbyint(x);
  const float f = x - n;
  float p = kExp2Series[0];
  for (int i = 1; i < 5; ++i) p = std::fma(p, f, kExp2Series[i]);
  return std::ldexp(std::fma(p, f, 1.0f), static_cast<int>(n));
}

void weigh(const float* values, int64_t count, float best, float scale, float* weights, float* lanes) {
  std::fill_n(lanes, kScanLanes, 0.0f);
  for (int64_t i = 0; i < count; ++i) {
    weights[i] = std::max(exp2_of_negative((values[i] - best) * scale) - kLeastWeight, 0.0f);
    lanes[i % kScanLanes] += weights[i];
  }
}

const RowScanImpl kRows[] = {{"ref", kIsaNone, largest, weigh}};

}  // namespace

const RowScanImplSpan kRowScanRef = {kRows, 1};

}  // namespace tern
