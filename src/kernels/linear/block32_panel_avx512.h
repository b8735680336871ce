// Packed panels of 16 rows of the formats of 32-element blocks, for AVX-512: packing, and reading a row back.
//
// Layout. A panel is 16 weight rows, one a lane of a zmm, in units of 64 k (two blocks; an odd last block is followed
// by a zero one); chunked_panels.h says in which order they lie. A unit is
//   scales  [2 blocks][16 rows] f16      64 bytes
//   minima  [2 blocks][16 rows] f16      64 bytes, Q4_1, Q5_1 and U4_ZERO
//   high    [2 blocks][16 rows][4] u8   128 bytes, q5x32: bit g of byte i is the fifth bit of element 4 g + i
//   codes   4 and 5 bits: [2 blocks][4 pairs][16 rows][4] u8, low nibble element 8 p + i, high nibble 8 p + 4 + i
//           8 bits: [2 blocks][8 groups][16 rows][4] u8, element 4 g + i, stored + 128
// so that an aligned load and at most two operations give 16 rows x 4 consecutive k as unsigned bytes, vpdpbusd's food.
// Codes that stand for values of a table (IQ4_NL, MXFP4) take one shuffle more; the table is stored plus zero.
//
// ISA files include this: everything has internal linkage. Pure; any thread, over its own panels.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/linear/block32_formats.h"
#include "kernels/linear/chunked_panels.h"
#include "kernels/linear/linear_impl.h"
#include "kernels/linear/panel_pack.h"

namespace tern {
namespace {

constexpr int kBlock = 32;

// What products read of 32 activations.
struct ActivationBlock {
  int8_t q[kBlock];
  float scale;
  float scaled_sum;   // scale * sum of q
  int32_t minus_8;    // -8 * sum of q
  int32_t minus_128;  // -128 * sum of q
};
static_assert(sizeof(ActivationBlock) == 48);

// Where things are in a unit.
template <typename F>
struct Unit {
  static constexpr int kUnitCols = 2 * kBlock;
  static constexpr int64_t kPrepared = 2 * sizeof(ActivationBlock);
  static constexpr bool kMins = F::kMinimum;
  static constexpr int kMinsAt = 64;
  static constexpr int kHighAt = kMins ? 128 : 64;
  static constexpr int kCodesAt = kHighAt + (F::kBits == 5 ? 128 : 0);
  static constexpr int kBlockCodes = kPanelRows * kBlock * (F::kBits == 8 ? 8 : 4) / 8;
  static constexpr int kBytes = kCodesAt + 2 * kBlockCodes;
};

// ---- packing

inline void store_u16(std::byte* to, uint16_t value) { __builtin_memcpy(to, &value, sizeof(value)); }

// One block of 16 rows; rows that do not exist point to F::kNone.
template <typename F>
void pack_block(const typename F::Block* const (&rows)[kPanelRows], std::byte* unit, int half) {
  const uint8_t* qs[kPanelRows];
  for (int lane = 0; lane < kPanelRows; ++lane) {
    qs[lane] = reinterpret_cast<const uint8_t*>(rows[lane]->qs);
    store_u16(unit + half * 32 + lane * 2, F::scale(*rows[lane]));
    if constexpr (Unit<F>::kMins) store_u16(unit + Unit<F>::kMinsAt + half * 32 + lane * 2, rows[lane]->m);
    if constexpr (F::kBits == 5) {
      const uint32_t high = fifth_bits(rows[lane]->qh);
      __builtin_memcpy(unit + Unit<F>::kHighAt + half * 64 + lane * 4, &high, sizeof(high));
    }
  }
  auto* codes = reinterpret_cast<uint8_t*>(unit) + Unit<F>::kCodesAt + half * Unit<F>::kBlockCodes;
  for (int first = 0; first < kPanelRows; first += 8) {
    (F::kBits == 8 ? pack_bytes : pack_nibbles)(qs + first, codes + first * 4, 64);
  }
}

template <typename F>
void pack_panels(const LinearDesc& desc, const std::byte* source, std::byte* packed, int64_t begin, int64_t end) {
  static constexpr typename F::Block kNone = F::none();
  const Chunks<Unit<F>> chunks(desc);
  const int64_t blocks = desc.cols / kBlock;
  LookAhead ahead = rows_ahead<kPanelRows>(reinterpret_cast<const typename F::Block*>(source), begin, blocks);
  for (int64_t panel = begin; panel < end; ++panel) {
    const typename F::Block* first[kPanelRows];
    int64_t step[kPanelRows];
    for (int lane = 0; lane < kPanelRows; ++lane) {
      const int64_t row = panel * kPanelRows + lane;
      const bool exists = row < desc.rows;
      first[lane] = exists ? reinterpret_cast<const typename F::Block*>(source) + row * blocks : &kNone;
      step[lane] = exists ? 1 : 0;
    }
    chunks.each_unit(panel, [&](int64_t unit, int64_t at) {
      if (unit * 2 + 2 > blocks) __builtin_memset(packed + at, 0, Unit<F>::kBytes);
      for (int64_t b = unit * 2; b < unit * 2 + 2 && b < blocks; ++b) {
        const typename F::Block* rows[kPanelRows];
        ahead.next<kPanelRows * sizeof(typename F::Block)>();
        for (int lane = 0; lane < kPanelRows; ++lane) rows[lane] = first[lane] + b * step[lane];
        pack_block<F>(rows, packed + at, static_cast<int>(b % 2));
      }
    });
  }
}

// ---- reading a row back

inline float f32_of_bf16(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  __builtin_memcpy(&value, &wide, sizeof(value));
  return value;
}

template <typename F>
void unpack_block(const std::byte* unit, int lane, int half, float* out) {
  const auto* scales = reinterpret_cast<const uint16_t*>(unit) + half * 16 + lane;
  const float d = F::kScaleBf16 ? f32_of_bf16(*scales) : _cvtsh_ss(*scales);
  float m = Unit<F>::kMins ? _cvtsh_ss(scales[Unit<F>::kMinsAt / 2]) : 0.0f;
  if constexpr (F::kZeroPoint) m *= d;
  const auto* codes = reinterpret_cast<const uint8_t*>(unit) + Unit<F>::kCodesAt + half * Unit<F>::kBlockCodes;
  for (int k = 0; k < kBlock; ++k) {
    int code;
    if constexpr (F::kBits == 8) {
      code = codes[k / 4 * 64 + lane * 4 + k % 4];
    } else {
      code = codes[k / 8 * 64 + lane * 4 + k % 4] >> (k / 4 % 2 * 4) & 15;
    }
    if constexpr (F::kBits == 5) {
      const auto* high = reinterpret_cast<const uint8_t*>(unit) + Unit<F>::kHighAt + half * 64 + lane * 4;
      code |= (high[k % 4] >> k / 4 & 1) << 4;
    }
    if constexpr (F::kTable) code = F::kValues[code] + F::kZero;
    const float value = d * static_cast<float>(code - F::kZero);
    out[k] = Unit<F>::kMins ? value + m : value;
  }
}

template <typename F>
void unpack_row(const LinearDesc& desc, const std::byte* weights, int64_t row, float* out) {
  const Chunks<Unit<F>> chunks(desc);
  const int lane = static_cast<int>(row % kPanelRows);
  chunks.each_unit(row / kPanelRows, [&](int64_t unit, int64_t at) {
    for (int64_t b = unit * 2; b < unit * 2 + 2 && b < desc.cols / kBlock; ++b) {
      unpack_block<F>(weights + at, lane, static_cast<int>(b % 2), out + b * kBlock);
    }
  });
}

}  // namespace
}  // namespace tern
