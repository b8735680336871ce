// Packed panels of the formats of 256-element super-blocks (Q2_K to Q6_K) and the activations that go with them.
//
// A panel holds R weight rows (16 for AVX-512, 8 for AVX2), blocks = cols / 256:
//   heads [blocks] x kHeadBytes, padded to 64 bytes
//   codes [blocks] x kCodeBytes, padded to 64 bytes
// A head, R rows side by side in each part:
//   d[R] f16; with minima dmin[R] f16; then the sub-scales as small integers:
//   sub-blocks of 32 (Q4_K, Q5_K): scale[8][R] u8, minimum[4][R][2] u8
//   sub-blocks of 16 (Q3_K, Q6_K): scale[8][R][2] i8;   (Q2_K): [8][R][2] u8, scale in the low nibble, minimum above
// [2] are two neighbouring sub-blocks, which a 16-bit multiply-and-add takes together.
// Codes: a group is 4 consecutive k: R rows x 4 bytes, one vector. Planes of vectors, the low bits of all codes first:
//   4-bit plane, 32 vectors: groups 2i, 2i + 1 at shifts 0, 4      (Q4_K, Q5_K, Q6_K)
//   2-bit plane, 16 vectors: groups 4i .. 4i + 3 at shifts 0 .. 6  (Q2_K, Q3_K low; Q6_K high)
//   1-bit plane, 8 vectors: groups 8i .. 8i + 7 at bits 0 .. 7     (Q3_K, Q5_K high)
// Against the file Q4_K, Q5_K and Q3_K keep their 6-bit scales as bytes: 2.8, 2.3 and 3.6 % more; the others 0 %.
//
// ISA files include this: everything has internal linkage. Packing is pure; any thread, over its own panels.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/linear/linear_impl.h"
#include "kernels/linear/panel_run.h"
#include "quant/q2_k.h"
#include "quant/q3_k.h"
#include "quant/q4_k.h"
#include "quant/q5_k.h"
#include "quant/q6_k.h"

namespace tern {
namespace {

// A super-block of a prepared activation row: int8 codes under one f32 scale (max|x| / 127), and integer sums of codes.
struct KActivation {
  int8_t codes[256];
  int32_t minus_32_sum[16];  // -32 * sum of 16 codes
  int16_t sum16[16];         // of 16 codes: at most 2032
  int16_t sum32[8];          // of 32 codes: at most 4064
  float scale;
  int32_t unused[3];
};
static_assert(sizeof(KActivation) == 384);

// A super-block of the file, taken apart.
struct KParts {
  uint8_t codes[256];
  uint8_t scales[16];  // signed where the format's are
  uint8_t minima[16];
  uint16_t d, dmin;
};

// Eight bytes at a time: what a shift carries over a byte's border, the mask takes away.
constexpr uint64_t k1 = 0x0101010101010101, k3 = 3 * k1, k15 = 15 * k1;

// Per format: plane widths, sub-block length, and split(). The value is d * scale * (code - kZero) - dmin * minimum.
struct Q4_K {
  using Block = BlockQ4_K;
  static constexpr Format kFormat = Format::kQ4_K;
  static constexpr int kLowBits = 4, kHighBits = 0, kSubBlock = 32, kZero = 0;
  static constexpr bool kMinimum = true;
  static void split(const Block& block, KParts& parts) {
    parts.d = block.d;
    parts.dmin = block.dmin;
    for (int j = 0; j < 8; ++j) {
      const ScaleMinK packed = scale_min_k(block.scales, j);
      parts.scales[j] = packed.scale;
      parts.minima[j] = packed.minimum;
    }
    for (int j = 0; j < 256; j += 64) {
      for (int i = 0; i < 32; i += 8) {
        const uint64_t qs = load_u64(block.qs + j / 2 + i);
        store_u64(parts.codes + j + i, qs & k15);
        store_u64(parts.codes + j + i + 32, qs >> 4 & k15);
      }
    }
  }
};

struct Q5_K {
  using Block = BlockQ5_K;
  static constexpr Format kFormat = Format::kQ5_K;
  static constexpr int kLowBits = 4, kHighBits = 1, kSubBlock = 32, kZero = 0;
  static constexpr bool kMinimum = true;
  static void split(const Block& block, KParts& parts) {
    parts.d = block.d;
    parts.dmin = block.dmin;
    for (int j = 0; j < 8; ++j) {
      const ScaleMinK packed = scale_min_k(block.scales, j);
      parts.scales[j] = packed.scale;
      parts.minima[j] = packed.minimum;
    }
    for (int j = 0; j < 8; ++j) {
      for (int i = 0; i < 32; i += 8) {
        const uint64_t low = load_u64(block.qs + j / 2 * 32 + i) >> (j % 2 * 4) & k15;
        store_u64(parts.codes + j * 32 + i, low | (load_u64(block.qh + i) >> j & k1) << 4);
      }
    }
  }
};

struct Q6_K {
  using Block = BlockQ6_K;
  static constexpr Format kFormat = Format::kQ6_K;
  static constexpr int kLowBits = 4, kHighBits = 2, kSubBlock = 16, kZero = 32;
  static constexpr bool kMinimum = false;
  static void split(const Block& block, KParts& parts) {
    parts.d = block.d;
    __builtin_memcpy(parts.scales, block.scales, 16);
    for (int j = 0; j < 8; ++j) {
      const uint8_t* ql = block.ql + j / 4 * 64 + j % 2 * 32;
      const uint8_t* qh = block.qh + j / 4 * 32;
      const int low_shift = j % 4 / 2 * 4, high_shift = j % 4 * 2;
      for (int i = 0; i < 32; i += 8) {
        const uint64_t low = load_u64(ql + i) >> low_shift & k15, high = load_u64(qh + i) >> high_shift & k3;
        store_u64(parts.codes + j * 32 + i, low | high << 4);
      }
    }
  }
};

struct Q3_K {
  using Block = BlockQ3_K;
  static constexpr Format kFormat = Format::kQ3_K;
  static constexpr int kLowBits = 2, kHighBits = 1, kSubBlock = 16, kZero = 4;
  static constexpr bool kMinimum = false;
  static void split(const Block& block, KParts& parts) {
    parts.d = block.d;
    for (int j = 0; j < 16; ++j) parts.scales[j] = static_cast<uint8_t>(scale_q3_k(block.scales, j));
    for (int j = 0; j < 8; ++j) {
      const uint8_t* qs = block.qs + j / 4 * 32;
      for (int i = 0; i < 32; i += 8) {
        const uint64_t low = load_u64(qs + i) >> (j % 4 * 2) & k3, high = load_u64(block.hmask + i) >> j & k1;
        store_u64(parts.codes + j * 32 + i, low | high << 2);
      }
    }
  }
};

struct Q2_K {
  using Block = BlockQ2_K;
  static constexpr Format kFormat = Format::kQ2_K;
  static constexpr int kLowBits = 2, kHighBits = 0, kSubBlock = 16, kZero = 0;
  static constexpr bool kMinimum = true;
  static void split(const Block& block, KParts& parts) {
    parts.d = block.d;
    parts.dmin = block.dmin;
    for (int j = 0; j < 16; ++j) {
      parts.scales[j] = block.scales[j] & 15;
      parts.minima[j] = block.scales[j] >> 4;
    }
    for (int j = 0; j < 8; ++j) {
      const uint8_t* qs = block.qs + j / 4 * 32;
      for (int i = 0; i < 32; i += 8) store_u64(parts.codes + j * 32 + i, load_u64(qs + i) >> (j % 4 * 2) & k3);
    }
  }
};

// The layout above for format F in panels of R rows.
template <class F, int R>
struct KPanel {
  static constexpr int kRows = R;
  static constexpr int kVector = R * 4;
  static constexpr int kScalesAt = F::kMinimum ? R * 4 : R * 2;
  static constexpr int kMinimaAt = kScalesAt + R * 8;  // sub-blocks of 32 only
  static constexpr int kHeadBytes = kScalesAt + R * 16;
  static constexpr int kHighAt = F::kLowBits * 8 * kVector;
  static constexpr int kCodeBytes = kHighAt + F::kHighBits * 8 * kVector;

  static uint64_t heads_bytes(int64_t cols) { return round_up_64(static_cast<uint64_t>(cols / 256) * kHeadBytes); }
  static uint64_t panel_bytes(int64_t cols) {
    return heads_bytes(cols) + round_up_64(static_cast<uint64_t>(cols / 256) * kCodeBytes);
  }
  static bool supports(const LinearDesc& desc) {
    return desc.format == F::kFormat && desc.rows > 0 && desc.cols > 0 && desc.cols % 256 == 0;
  }
  static uint64_t packed_bytes(const LinearDesc& desc) {
    return static_cast<uint64_t>(panels_of<KPanel>(desc)) * panel_bytes(desc.cols);
  }

  static void pack(const LinearDesc& desc, const std::byte* source, std::byte* packed, int64_t begin, int64_t end) {
    const int64_t blocks = desc.cols / 256;
    const auto* rows = reinterpret_cast<const typename F::Block*>(source);
    for (int64_t p = begin; p < end; ++p) {
      auto* panel = reinterpret_cast<uint8_t*>(packed) + static_cast<uint64_t>(p) * panel_bytes(desc.cols);
      uint8_t* codes = panel + heads_bytes(desc.cols);
      for (int64_t b = 0; b < blocks; ++b) {
        for (int r = 0; r < R; ++r) {
          KParts parts{};  // rows beyond the matrix are all zero
          const int64_t row = p * R + r;
          if (row < desc.rows) F::split(rows[row * blocks + b], parts);
          pack_head(parts, r, panel + b * kHeadBytes);
          pack_plane<F::kLowBits, 0>(parts.codes, codes + b * kCodeBytes + r * 4);
          pack_plane<F::kHighBits, F::kLowBits>(parts.codes, codes + b * kCodeBytes + kHighAt + r * 4);
        }
      }
    }
  }

  static void pack_head(const KParts& parts, int row, uint8_t* head) {
    __builtin_memcpy(head + row * 2, &parts.d, 2);
    if constexpr (F::kMinimum) __builtin_memcpy(head + R * 2 + row * 2, &parts.dmin, 2);
    if constexpr (F::kSubBlock == 32) {
      for (int j = 0; j < 8; ++j) {
        head[kScalesAt + j * R + row] = parts.scales[j];
        head[kMinimaAt + pair_at(j, row)] = parts.minima[j];
      }
    } else {
      for (int j = 0; j < 16; ++j) {
        head[kScalesAt + pair_at(j, row)] = static_cast<uint8_t>(parts.scales[j] | parts.minima[j] << 4);
      }
    }
  }
  static int pair_at(int sub_block, int row) { return (sub_block / 2 * R + row) * 2 + sub_block % 2; }

  // Bits [kFrom, kFrom + kBits) of the codes of one row as a plane of kBits-wide fields.
  template <int kBits, int kFrom>
  static void pack_plane(const uint8_t codes[256], uint8_t* plane) {
    if constexpr (kBits > 0) {
      constexpr int kFields = 8 / kBits;
      constexpr uint32_t kMask = ((1u << kBits) - 1) * 0x01010101u;
      for (int i = 0; i < 64 / kFields; ++i) {
        uint32_t fields = 0;
        for (int f = 0; f < kFields; ++f) {
          fields |= (load_u32(codes + (i * kFields + f) * 4) >> kFrom & kMask) << (f * kBits);
        }
        store_u32(plane + i * kVector, fields);
      }
    }
  }

  template <int kBits>
  static int read_plane(const uint8_t* plane, int k) {
    if constexpr (kBits == 0) return 0;
    constexpr int kFields = kBits == 0 ? 1 : 8 / kBits;
    const int group = k / 4;
    return plane[group / kFields * kVector + k % 4] >> (group % kFields * kBits) & ((1 << kBits) - 1);
  }

  // As the reference decoders: scale and minimum rounded first, then the product, then the difference.
  static void read_row(const LinearDesc& desc, const std::byte* weights, int64_t row, float* out) {
    const auto* panel =
        reinterpret_cast<const uint8_t*>(weights) + static_cast<uint64_t>(row / R) * panel_bytes(desc.cols);
    const int r = static_cast<int>(row % R);
    const uint8_t* head = panel;
    const uint8_t* codes = panel + heads_bytes(desc.cols) + r * 4;
    for (int64_t b = 0; b < desc.cols / 256; ++b, head += kHeadBytes, codes += kCodeBytes) {
      uint16_t d, dmin = 0;
      __builtin_memcpy(&d, head + r * 2, 2);
      if constexpr (F::kMinimum) __builtin_memcpy(&dmin, head + R * 2 + r * 2, 2);
      for (int j = 0; j < 256 / F::kSubBlock; ++j) {
        int packed_scale, packed_minimum = 0;
        if constexpr (F::kSubBlock == 32) {
          packed_scale = head[kScalesAt + j * R + r];
          packed_minimum = head[kMinimaAt + pair_at(j, r)];
        } else {
          packed_scale = head[kScalesAt + pair_at(j, r)];
          if constexpr (F::kMinimum) {
            packed_minimum = packed_scale >> 4;
            packed_scale &= 15;
          } else {
            packed_scale = static_cast<int8_t>(packed_scale);
          }
        }
        const float scale = _cvtsh_ss(d) * static_cast<float>(packed_scale);
        const float minimum = _cvtsh_ss(dmin) * static_cast<float>(packed_minimum);
        for (int k = j * F::kSubBlock; k < (j + 1) * F::kSubBlock; ++k) {
          const int q = read_plane<F::kLowBits>(codes, k) | read_plane<F::kHighBits>(codes + kHighAt, k) << F::kLowBits;
          const float product = scale * static_cast<float>(q - F::kZero);
          *out++ = F::kMinimum ? product - minimum : product;
        }
      }
    }
  }
};

inline uint64_t k_prepared_bytes(int64_t cols) {
  return prepared_row_bytes(static_cast<uint64_t>(cols / 256) * sizeof(KActivation));
}

}  // namespace
}  // namespace tern
