// Packed panels of 8 rows of the formats of 32-element blocks: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL, MXFP4,
// U4_ZERO. blocks = cols / 32:
//   heads [blocks] x {d[8] f16 (MXFP4: bf16), with minima m[8] f16}, padded to 64 bytes
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

#include "kernels/linear/block32_formats.h"
#include "kernels/linear/linear_impl.h"
#include "kernels/linear/panel_pack.h"
#include "kernels/linear/panel_run.h"

namespace tern {
namespace {

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
    LookAhead ahead = rows_ahead<kRows>(rows, begin, blocks);
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
        ahead.next<kRows * sizeof(typename F::Block)>();
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
      const float minimum = F::kZeroPoint ? scale * _cvtsh_ss(m) : _cvtsh_ss(m);
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
