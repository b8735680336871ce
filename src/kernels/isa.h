// Which instruction sets this processor has, as far as kernels care. Plain: ISA files include this.
#pragma once

#include <cstdint>

namespace tern {

// An implementation needs all of its bits. The order is historical, not a preference.
enum IsaBits : uint32_t {
  kIsaNone = 0,
  kIsaAvx2 = 1u << 0,    // AVX2, FMA, F16C, BMI2
  kIsaAvx512 = 1u << 1,  // F, BW, DQ, VL, VBMI
  kIsaAvx512Vnni = 1u << 2,
  kIsaAvx512Bf16 = 1u << 3,
  kIsaAmxInt8 = 1u << 4,  // tiles, and the operating system's leave to use them
  kIsaAmxBf16 = 1u << 5,
  // A property, not instructions: vpdpbf16ps does more multiply-adds than f32 FMAs of the same width. Measured with
  // loops of nothing else, a core, GFLOP/s: AMD family 26 506 against 270; Intel family 6, model 207 (Sapphire Rapids'
  // line) 84 against 166, an instruction every second cycle. By vendor and not timed at start: what a kernel is chosen
  // by must not change between two starts.
  kIsaFastBf16Dot = 1u << 6,
};

}  // namespace tern
