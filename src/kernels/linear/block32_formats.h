// The formats of 32-element blocks as the panel kernels see them: what is in a block's head, what its codes stand for.
// Plain facts; ISA files include this: everything has internal linkage.
#pragma once

#include <cstdint>

#include "quant/format_id.h"
#include "quant/iq4_nl.h"
#include "quant/mxfp4.h"
#include "quant/q4_0.h"
#include "quant/q4_1.h"
#include "quant/q5_0.h"
#include "quant/q5_1.h"
#include "quant/q8_0.h"
#include "quant/u4_zero.h"

namespace tern {
namespace {

// Per format: the value is d * (code - kZero), plus m where there is one. With kTable the codes stand for kValues, and
// kZero is what kernels add to them. With kZeroPoint m counts in steps of d. scale() is the head's 16 bits, f16 but for
// kScaleBf16; none() is a block that packs to zeros but for an exponent.
template <typename B>
struct Plain {
  using Block = B;
  static constexpr bool kMinimum = false, kTable = false, kScaleBf16 = false, kZeroPoint = false;
  static constexpr int8_t kValues[16] = {};
  static uint16_t scale(const Block& block) { return block.d; }
  static constexpr Block none() { return {}; }
};
struct Q4_0 : Plain<BlockQ4_0> {
  static constexpr Format kFormat = Format::kQ4_0;
  static constexpr int kBits = 4, kZero = 8;
};
struct Q4_1 : Plain<BlockQ4_1> {
  static constexpr Format kFormat = Format::kQ4_1;
  static constexpr int kBits = 4, kZero = 0;
  static constexpr bool kMinimum = true;
};
struct Q5_0 : Plain<BlockQ5_0> {
  static constexpr Format kFormat = Format::kQ5_0;
  static constexpr int kBits = 5, kZero = 16;
};
struct Q5_1 : Plain<BlockQ5_1> {
  static constexpr Format kFormat = Format::kQ5_1;
  static constexpr int kBits = 5, kZero = 0;
  static constexpr bool kMinimum = true;
};
struct U4Zero : Plain<BlockU4Zero> {
  static constexpr Format kFormat = Format::kU4Zero;
  static constexpr int kBits = 4, kZero = 0;
  static constexpr bool kMinimum = true, kZeroPoint = true;
};
struct Q8_0 : Plain<BlockQ8_0> {
  static constexpr Format kFormat = Format::kQ8_0;
  static constexpr int kBits = 8, kZero = 128;
  static constexpr Block none() {
    Block block{};
    for (int8_t& q : block.qs) q = -128;  // stored as 0
    return block;
  }
};
struct IQ4_NL : Plain<BlockIQ4_NL> {
  static constexpr Format kFormat = Format::kIQ4_NL;
  static constexpr int kBits = 4, kZero = 128;
  static constexpr bool kTable = true;
  static constexpr const int8_t (&kValues)[16] = kIq4Values;
};
// The scale is a power of two from 2^-128 to 2^127, too wide for f16 and exact in bf16.
struct MXFP4 : Plain<BlockMXFP4> {
  static constexpr Format kFormat = Format::kMXFP4;
  static constexpr int kBits = 4, kZero = 16;
  static constexpr bool kTable = true, kScaleBf16 = true;
  static constexpr const int8_t (&kValues)[16] = kMxfp4Doubled;
  static uint16_t scale(const Block& block) { return half_scale_mxfp4(block.e); }
};

}  // namespace
}  // namespace tern
