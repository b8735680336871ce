// What one implementation of the row scan family exports. ISA files include this. Every implementation gives the same
// bits: the same operations an element, and sums over sixteen lanes that are added up in one order.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern {

// Columns scanned together: 1 KiB of logits, and few enough blocks for a vocabulary (200 for 50k) to look at each.
inline constexpr int64_t kScanBlock = 256;
inline constexpr int64_t kScanLanes = 16;

struct RowScanImpl {
  const char* name;
  uint32_t needs;  // IsaBits
  // The largest of `count` values, 1 to kScanBlock; NaN when any is NaN.
  float (*largest)(const float* values, int64_t count);
  // weights[i] = 2^((values[i] - best) * scale), 0 where that is below 2^-123; `lanes` [16] = sums of every sixteenth.
  // Writes whole vectors: weights has room for kScanBlock. best >= values[i], scale >= 0.
  void (*weigh)(const float* values, int64_t count, float best, float scale, float* weights, float* lanes);
};

struct RowScanImplSpan {
  const RowScanImpl* rows;
  int count;
};

extern const RowScanImplSpan kRowScanAvx512;
extern const RowScanImplSpan kRowScanAvx2;
extern const RowScanImplSpan kRowScanRef;

// What the least weight that exp2_of_negative() gives is cut off with: it must not be drawn.
static constexpr float kLeastWeight = 0x1p-124f;

}  // namespace tern
