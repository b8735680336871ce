// Packed panels of 8 rows of the formats of 32-element blocks: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL, MXFP4.
// blocks = cols / 32:
//   heads [blocks] x {d[8] f16 (MXFP4: bf16), for Q4_1 and Q5_1 m[8] f16}, padded to 64 bytes
//   codes [blocks] x {4-bit: 4 vectors; 5-bit: 4 vectors and one of fifth bits; 8-bit: 8 vectors}, padded to 64 bytes
// A group is 4 consecutive k: 8 rows x 4 bytes = one vector of 32 bytes. 4-bit vector i carries group 2i in its low and
// group 2i + 1 in its high nibbles; bit g of the fifth-bit vector belongs to group g; 8-bit vector g is group g.
// Codes are unsigned: Q8_0's are stored plus 128. Not a bit more than the file but for the
// padding and MXFP4's second byte of scale.
//
// ISA files include this: everything has internal linkage. Packing is pure; any thread, over its own panels.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/linear/linear_impl.h"
#include "kernels/linear/panel_pack.h"
#include "kernels/linear/panel_run.h"
#include "quant/iq4_nl.h"
#include "quant/mxfp4.h"
#include "quant/q4_0.h"
#include "quant/q4_1.h"
#include "quant/q5_0.h"
#include "quant/q5_1.h"
#include "quant/q8_0.h"

namespace tern {
namespace {

// Per format: the value is d * (code - kZero), plus m where there is one. With kTable the codes stand for kValues, and
// kZero is what kernels add to them. scale() is the head's 16 bits, f16 but for kScaleBf16; none() is a block that
// packs to zeros but for an exponent.
template <typename B>
struct Plain {
  using Block = B;
  static constexpr bool kMinimum = false, kTable = false, kScaleBf16 = false;
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

// The layout above for format F.
template <class F>
struct Panel32 {
  static constexpr int kRows = 8;
  static constexpr int kUnitCols = 32;
  static constexpr int kHeadBytes = F::kMinimum ? 32 : 16;
  static constexpr int kCodeBytes = F::kBits * 32;

  static uint64_t heads_bytes(int64_t cols) { return round_up_64(static_cast<uint64_t>(cols / 32) * kHeadBytes); }
  static uint64_t panel_bytes(int64_t cols) {
    return heads_bytes(cols) + round_up_64(static_cast<uint64_t>(cols / 32) * kCodeBytes);
  }
  static bool supports(const LinearDesc& desc) {
    return desc.format == F::kFormat && desc.rows > 0 && desc.cols > 0 && desc.cols % 32 == 0;
  }
  static uint64_t packed_bytes(const LinearDesc& desc) {
    return static_cast<uint64_t>(panels_of<Panel32>(desc)) * panel_bytes(desc.cols);
  }

  static constexpr typename F::Block kNone = F::none();

  static void pack(const LinearDesc& desc, const std::byte* source, std::byte* packed, int64_t begin, int64_t end) {
    const int64_t blocks = desc.cols / 32;
    const auto* rows = reinterpret_cast<const typename F::Block*>(source);
    for (int64_t p = begin; p < end; ++p) {
      auto* panel = reinterpret_cast<uint8_t*>(packed) + static_cast<uint64_t>(p) * panel_bytes(desc.cols);
      uint8_t* codes = panel + heads_bytes(desc.cols);
      const typename F::Block* first[kRows];
      int64_t step[kRows];
      for (int r = 0; r < kRows; ++r) {
        const int64_t row = p * kRows + r;
        first[r] = row < desc.rows ? rows + row * blocks : &kNone;
        step[r] = row < desc.rows ? 1 : 0;
      }
      for (int64_t b = 0; b < blocks; ++b) {
        const typename F::Block* block[kRows];
        for (int r = 0; r < kRows; ++r) block[r] = first[r] + b * step[r];
        pack_block(block, panel + b * kHeadBytes, codes + b * kCodeBytes);
      }
    }
  }

  // One block of 8 rows; rows that do not exist point to kNone.
  static void pack_block(const typename F::Block* const (&rows)[kRows], uint8_t* head, uint8_t* codes) {
    const uint8_t* qs[kRows];
    for (int r = 0; r < kRows; ++r) {
      qs[r] = reinterpret_cast<const uint8_t*>(rows[r]->qs);
      const uint16_t d = F::scale(*rows[r]);
      __builtin_memcpy(head + r * 2, &d, 2);
      if constexpr (F::kMinimum) __builtin_memcpy(head + 16 + r * 2, &rows[r]->m, 2);
      if constexpr (F::kBits == 5) store_u32(codes + 128 + r * 4, fifth_bits(rows[r]->qh));
    }
    (F::kBits == 8 ? pack_bytes : pack_nibbles)(qs, codes, 32);
  }

  static void read_row(const LinearDesc& desc, const std::byte* weights, int64_t row, float* out) {
    const auto* panel =
        reinterpret_cast<const uint8_t*>(weights) + static_cast<uint64_t>(row / kRows) * panel_bytes(desc.cols);
    const uint8_t* codes = panel + heads_bytes(desc.cols) + row % kRows * 4;
    const uint8_t* head = panel + row % kRows * 2;
    for (int64_t b = 0; b < desc.cols / 32; ++b, codes += kCodeBytes, head += kHeadBytes, out += 32) {
      uint16_t d, m = 0;
      __builtin_memcpy(&d, head, 2);
      if constexpr (F::kMinimum) __builtin_memcpy(&m, head + 16, 2);
      const float scale = F::kScaleBf16 ? _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(d << 16))) : _cvtsh_ss(d);
      const float minimum = _cvtsh_ss(m);
      for (int k = 0; k < 32; ++k) {
        int q;
        if constexpr (F::kBits == 8) {
          q = codes[k / 4 * 32 + k % 4];
        } else {
          q = codes[k / 8 * 32 + k % 4] >> (k / 4 % 2 * 4) & 15;
          if constexpr (F::kBits == 5) q |= (codes[128 + k % 4] >> (k / 4) & 1) << 4;
        }
        const float product = scale * static_cast<float>(F::kTable ? F::kValues[q] : q - F::kZero);
        out[k] = F::kMinimum ? product + minimum : product;
      }
    }
  }
};

}  // namespace
}  // namespace tern
