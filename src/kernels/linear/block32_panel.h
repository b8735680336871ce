// Packed panels of 8 rows of the formats of 32-element blocks: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0. blocks = cols / 32:
//   heads [blocks] x {d[8] f16, for Q4_1 and Q5_1 m[8] f16}, padded to 64 bytes
//   codes [blocks] x {4-bit: 4 vectors; 5-bit: 4 vectors and one of fifth bits; 8-bit: 8 vectors}, padded to 64 bytes
// A group is 4 consecutive k: 8 rows x 4 bytes = one vector of 32 bytes. 4-bit vector i carries group 2i in its low and
// group 2i + 1 in its high nibbles; bit g of the fifth-bit vector belongs to group g; 8-bit vector g is group g.
// Codes are unsigned: Q8_0's are stored plus 128. Not a bit more than the file but for the padding.
//
// ISA files include this: everything has internal linkage. Packing is pure; any thread, over its own panels.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/linear/linear_impl.h"
#include "kernels/linear/panel_run.h"
#include "quant/q4_0.h"
#include "quant/q4_1.h"
#include "quant/q5_0.h"
#include "quant/q5_1.h"
#include "quant/q8_0.h"

namespace tern {
namespace {

// A block of the file as 32 codes without sign, the value being d * (code - kZero), plus m where there is one.
inline void split_nibbles(const uint8_t qs[16], uint8_t codes[32]) {
  for (int j = 0; j < 16; ++j) {
    codes[j] = qs[j] & 15;
    codes[j + 16] = qs[j] >> 4;
  }
}
inline void add_fifth_bits(uint32_t high, uint8_t codes[32]) {
  for (int j = 0; j < 32; j += 8) {
    store_u64(codes + j, load_u64(codes + j) | _pdep_u64(high >> j, 0x0101010101010101) << 4);
  }
}

struct Q4_0 {
  using Block = BlockQ4_0;
  static constexpr Format kFormat = Format::kQ4_0;
  static constexpr int kBits = 4, kZero = 8;
  static constexpr bool kMinimum = false;
  static void split(const Block& block, uint8_t codes[32]) { split_nibbles(block.qs, codes); }
};
struct Q4_1 {
  using Block = BlockQ4_1;
  static constexpr Format kFormat = Format::kQ4_1;
  static constexpr int kBits = 4, kZero = 0;
  static constexpr bool kMinimum = true;
  static void split(const Block& block, uint8_t codes[32]) { split_nibbles(block.qs, codes); }
};
struct Q5_0 {
  using Block = BlockQ5_0;
  static constexpr Format kFormat = Format::kQ5_0;
  static constexpr int kBits = 5, kZero = 16;
  static constexpr bool kMinimum = false;
  static void split(const Block& block, uint8_t codes[32]) {
    split_nibbles(block.qs, codes);
    add_fifth_bits(block.qh, codes);
  }
};
struct Q5_1 {
  using Block = BlockQ5_1;
  static constexpr Format kFormat = Format::kQ5_1;
  static constexpr int kBits = 5, kZero = 0;
  static constexpr bool kMinimum = true;
  static void split(const Block& block, uint8_t codes[32]) {
    split_nibbles(block.qs, codes);
    add_fifth_bits(block.qh, codes);
  }
};
struct Q8_0 {
  using Block = BlockQ8_0;
  static constexpr Format kFormat = Format::kQ8_0;
  static constexpr int kBits = 8, kZero = 128;
  static constexpr bool kMinimum = false;
  static void split(const Block& block, uint8_t codes[32]) {
    for (int j = 0; j < 32; ++j) codes[j] = static_cast<uint8_t>(block.qs[j] + 128);
  }
};

// The layout above for format F.
template <class F>
struct Panel32 {
  static constexpr int kRows = 8;
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

  static void pack(const LinearDesc& desc, const std::byte* source, std::byte* packed, int64_t begin, int64_t end) {
    const int64_t blocks = desc.cols / 32;
    const auto* rows = reinterpret_cast<const typename F::Block*>(source);
    for (int64_t p = begin; p < end; ++p) {
      auto* panel = reinterpret_cast<uint8_t*>(packed) + static_cast<uint64_t>(p) * panel_bytes(desc.cols);
      uint8_t* codes = panel + heads_bytes(desc.cols);
      for (int64_t b = 0; b < blocks; ++b) {
        for (int r = 0; r < kRows; ++r) {
          const int64_t row = p * kRows + r;
          pack_block(row < desc.rows ? rows + row * blocks + b : nullptr, r, panel + b * kHeadBytes,
                     codes + b * kCodeBytes);
        }
      }
    }
  }

  // Null: a row beyond the matrix, all zero.
  static void pack_block(const typename F::Block* block, int row, uint8_t* head, uint8_t* codes) {
    uint8_t q[32] = {};
    uint16_t d = 0, m = 0;
    if (block != nullptr) {
      F::split(*block, q);
      d = block->d;
      if constexpr (F::kMinimum) m = block->m;
    }
    __builtin_memcpy(head + row * 2, &d, 2);
    if constexpr (F::kMinimum) __builtin_memcpy(head + 16 + row * 2, &m, 2);
    if constexpr (F::kBits == 8) {
      for (int g = 0; g < 8; ++g) store_u32(codes + g * 32 + row * 4, load_u32(q + g * 4));
    } else {
      uint32_t fifth = 0;
      for (int g = 0; g < 8; g += 2) {
        const uint32_t low = load_u32(q + g * 4), high = load_u32(q + g * 4 + 4);
        store_u32(codes + g * 16 + row * 4, (low & 0x0f0f0f0fu) | (high & 0x0f0f0f0fu) << 4);
        fifth |= (low >> 4 & 0x01010101u) << g | (high >> 4 & 0x01010101u) << (g + 1);
      }
      if constexpr (F::kBits == 5) store_u32(codes + 128 + row * 4, fifth);
    }
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
      const float scale = _cvtsh_ss(d), minimum = _cvtsh_ss(m);
      for (int k = 0; k < 32; ++k) {
        int q;
        if constexpr (F::kBits == 8) {
          q = codes[k / 4 * 32 + k % 4];
        } else {
          q = codes[k / 8 * 32 + k % 4] >> (k / 4 % 2 * 4) & 15;
          if constexpr (F::kBits == 5) q |= (codes[128 + k % 4] >> (k / 4) & 1) << 4;
        }
        const float product = scale * static_cast<float>(q - F::kZero);
        out[k] = F::kMinimum ? product + minimum : product;
      }
    }
  }
};

}  // namespace
}  // namespace tern
