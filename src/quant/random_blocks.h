// Random weights made directly in their encoded form: the codes are random bits, the scales are chosen so that the
// decoded weights have mean 0 and a given root mean square. For synthetic models and tests; no f32 weight exists on the
// way, so it runs at the speed of memory.
//
// Every block is one that an encoder could have written: finite scales, codes within their range. Pure function of
// (format, deviation, seed), any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/format.h"

namespace tern {

// Whether there is a generator for the format: for each of formats() but NVFP4, whose scales reach too few deviations.
bool has_random_blocks(Format format);

// Writes `blocks` consecutive blocks to `out`. Deviations from about 1e-4 to 1e2 come out right within a few percent
// (f16 scales get coarse below).
void random_blocks(Format format, double deviation, uint64_t seed, int64_t blocks, std::byte* out);

}  // namespace tern
