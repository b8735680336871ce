// Loops that any processor runs, in what the compiler makes of them. Where there is nothing else they are the limit.
#include <cstring>

#include "kernels/isa.h"
#include "kernels/limits/limits_impl.h"

namespace tern {
namespace {

int64_t read(const std::byte* from, int64_t bytes) {
  uint64_t sums[8] = {};
  for (int64_t i = 0; i < bytes; i += 64) {
    uint64_t line[8];
    std::memcpy(line, from + i, sizeof line);
    for (int lane = 0; lane < 8; ++lane) sums[lane] += line[lane];
  }
  uint64_t sum = 0;
  for (const uint64_t lane : sums) sum += lane;
  return static_cast<int64_t>(sum);
}

constexpr int kLanes = 64;

// The factors are volatile once an iteration: otherwise the sum of all iterations could be computed in advance.
void int8(int64_t iterations) {
  volatile int8_t hidden = 3;
  int32_t sums[kLanes] = {};
  for (int64_t n = 0; n < iterations; ++n) {
    const int32_t factor = hidden;
    for (int lane = 0; lane < kLanes; ++lane) sums[lane] = (sums[lane] & 127) * factor + 1;
  }
  hidden = static_cast<int8_t>(sums[0]);
}

void f32(int64_t iterations) {
  volatile float hidden = 0.5f;
  float sums[kLanes] = {};
  for (int64_t n = 0; n < iterations; ++n) {
    const float factor = hidden;
    for (int lane = 0; lane < kLanes; ++lane) sums[lane] = sums[lane] * factor + factor;
  }
  hidden = sums[0];
}

constexpr ReadLoop kReads[] = {{"ref", kIsaNone, read}};
constexpr PeakLoop kPeaks[] = {{"ref_int8", kIsaNone, Arithmetic::kInt8, 2 * kLanes, int8},
                               {"ref_f32", kIsaNone, Arithmetic::kF32, 2 * kLanes, f32}};

}  // namespace

const LoopSpan<ReadLoop> kReadLoopsRef = {kReads, 1};
const LoopSpan<PeakLoop> kPeakLoopsRef = {kPeaks, 2};

}  // namespace tern
