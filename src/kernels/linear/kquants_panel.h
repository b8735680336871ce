// Packed panels of the formats of 256-element super-blocks (Q2_K to Q6_K, IQ4_XS, those of codebook_formats.h) and the
// activations that go with them.
//
// A panel holds R weight rows (16 for AVX-512, 8 for AVX2), blocks = cols / 256:
//   heads [blocks] x kHeadBytes, padded to 64 bytes
//   codes [blocks] x kCodeBytes, padded to 64 bytes
// A head, R rows side by side in each part:
//   d[R] f16; with minima dmin[R] f16; then the sub-scales as small integers:
//   sub-blocks of 32 (Q4_K, Q5_K): scale[8][R] u8, minimum[4][R][2] u8;  (IQ4_XS, other codebooks): scale[8][R] i8
//   sub-blocks of 16 (Q3_K, Q6_K, some codebooks): scale[8][R][2] i8;   (Q2_K): [8][R][2] u8, scale in the low nibble,
//   minimum above
// [2] are two neighbouring sub-blocks, which a 16-bit multiply-and-add takes together.
// Codes: a group is 4 consecutive k: R rows x 4 bytes, one vector. Planes of vectors, the low bits of all codes first:
//   4-bit plane, 32 vectors: groups 2i, 2i + 1 at shifts 0, 4      (Q4_K, Q5_K, Q6_K, IQ4_XS, codebooks)
//   2-bit plane, 16 vectors: groups 4i .. 4i + 3 at shifts 0 .. 6  (Q2_K, Q3_K low; Q6_K high)
//   1-bit plane, 8 vectors: groups 8i .. 8i + 7 at bits 0 .. 7     (Q3_K, Q5_K high)
// Against the file Q4_K, Q5_K and Q3_K keep their 6-bit scales as bytes: 2.8, 2.3 and 3.6 % more, IQ4_XS 1.5 %;
// the others 0 %.
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
#include "quant/iq4_xs.h"
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

// Per format: plane widths, sub-block length, and split(). The value is d * scale * (code - kZero) - dmin * minimum.
// With kTable the codes stand for kValues, and kZero is what kernels add to them; d is used times kFactor.
struct Direct {
  static constexpr float kFactor = 1.0f;
  static constexpr bool kTable = false;
  static constexpr int8_t kValues[16] = {};
};

// ---- taking blocks apart: 32 codes at a time; what a shift carries over a byte's border, a mask takes away

// The field of kBits bits at `shift` of 32 bytes.
template <int kBits>
inline __m256i field(const uint8_t* from, int shift) {
  const __m256i moved = _mm256_srl_epi16(load_32(from), _mm_cvtsi32_si128(shift));
  return _mm256_and_si256(moved, _mm256_set1_epi8((1 << kBits) - 1));
}
template <int kBy>
inline __m256i above(__m256i high, __m256i low) {
  return _mm256_or_si256(_mm256_slli_epi16(high, kBy), low);
}

// The scales and minima of Q4_K and Q5_K (scale_min_k), four at a time.
inline void split_scales_k(const uint8_t scales[12], KParts& parts) {
  const uint32_t first = load_u32(scales), second = load_u32(scales + 4), third = load_u32(scales + 8);
  store_u32(parts.scales, first & 0x3f3f3f3fu);
  store_u32(parts.minima, second & 0x3f3f3f3fu);
  store_u32(parts.scales + 4, (third & 0x0f0f0f0fu) | (first >> 2 & 0x30303030u));
  store_u32(parts.minima + 4, (third >> 4 & 0x0f0f0f0fu) | (second >> 2 & 0x30303030u));
}

// Six-bit numbers minus 32, byte by byte: 128 more keeps a byte's borrow from its neighbour.
constexpr uint64_t minus_32(uint64_t bytes) {
  return ((bytes | 0x8080808080808080) - 0x2020202020202020) ^ 0x8080808080808080;
}

struct Q4_K : Direct {
  using Block = BlockQ4_K;
  static constexpr Format kFormat = Format::kQ4_K;
  static constexpr int kLowBits = 4, kHighBits = 0, kSubBlock = 32, kZero = 0;
  static constexpr bool kMinimum = true;
  static void split(const Block& block, KParts& parts) {
    parts.d = block.d;
    parts.dmin = block.dmin;
    split_scales_k(block.scales, parts);
    for (int j = 0; j < 8; ++j) store_32(parts.codes + j * 32, field<4>(block.qs + j / 2 * 32, j % 2 * 4));
  }
};

struct Q5_K : Direct {
  using Block = BlockQ5_K;
  static constexpr Format kFormat = Format::kQ5_K;
  static constexpr int kLowBits = 4, kHighBits = 1, kSubBlock = 32, kZero = 0;
  static constexpr bool kMinimum = true;
  static void split(const Block& block, KParts& parts) {
    parts.d = block.d;
    parts.dmin = block.dmin;
    split_scales_k(block.scales, parts);
    for (int j = 0; j < 8; ++j) {
      const __m256i low = field<4>(block.qs + j / 2 * 32, j % 2 * 4);
      store_32(parts.codes + j * 32, above<4>(field<1>(block.qh, j), low));
    }
  }
};

struct Q6_K : Direct {
  using Block = BlockQ6_K;
  static constexpr Format kFormat = Format::kQ6_K;
  static constexpr int kLowBits = 4, kHighBits = 2, kSubBlock = 16, kZero = 32;
  static constexpr bool kMinimum = false;
  static void split(const Block& block, KParts& parts) {
    parts.d = block.d;
    __builtin_memcpy(parts.scales, block.scales, 16);
    for (int j = 0; j < 8; ++j) {
      const __m256i low = field<4>(block.ql + j / 4 * 64 + j % 2 * 32, j % 4 / 2 * 4);
      store_32(parts.codes + j * 32, above<4>(field<2>(block.qh + j / 4 * 32, j % 4 * 2), low));
    }
  }
};

struct Q3_K : Direct {
  using Block = BlockQ3_K;
  static constexpr Format kFormat = Format::kQ3_K;
  static constexpr int kLowBits = 2, kHighBits = 1, kSubBlock = 16, kZero = 4;
  static constexpr bool kMinimum = false;
  static void split(const Block& block, KParts& parts) {
    parts.d = block.d;
    // scale_q3_k, eight at a time: nibbles of the first eight bytes, under pairs of bits of the last four.
    const uint64_t nibbles = load_u64(block.scales), top = load_u32(block.scales + 8);
    const uint64_t first = (top & 0x03030303) | (top >> 2 & 0x03030303) << 32;
    const uint64_t second = (top >> 4 & 0x03030303) | (top >> 6 & 0x03030303) << 32;
    store_u64(parts.scales, minus_32((nibbles & 0x0f0f0f0f0f0f0f0f) | first << 4));
    store_u64(parts.scales + 8, minus_32((nibbles >> 4 & 0x0f0f0f0f0f0f0f0f) | second << 4));
    for (int j = 0; j < 8; ++j) {
      const __m256i low = field<2>(block.qs + j / 4 * 32, j % 4 * 2);
      store_32(parts.codes + j * 32, above<2>(field<1>(block.hmask, j), low));
    }
  }
};

struct Q2_K : Direct {
  using Block = BlockQ2_K;
  static constexpr Format kFormat = Format::kQ2_K;
  static constexpr int kLowBits = 2, kHighBits = 0, kSubBlock = 16, kZero = 0;
  static constexpr bool kMinimum = true;
  static void split(const Block& block, KParts& parts) {
    parts.d = block.d;
    parts.dmin = block.dmin;
    for (int j = 0; j < 16; j += 8) {
      const uint64_t both = load_u64(block.scales + j);
      store_u64(parts.scales + j, both & 0x0f0f0f0f0f0f0f0f);
      store_u64(parts.minima + j, both >> 4 & 0x0f0f0f0f0f0f0f0f);
    }
    for (int j = 0; j < 8; ++j) store_32(parts.codes + j * 32, field<2>(block.qs + j / 4 * 32, j % 4 * 2));
  }
};

struct IQ4_XS {
  using Block = BlockIQ4_XS;
  static constexpr Format kFormat = Format::kIQ4_XS;
  static constexpr int kLowBits = 4, kHighBits = 0, kSubBlock = 32, kZero = 128;
  static constexpr bool kMinimum = false, kTable = true;
  static constexpr float kFactor = 1.0f;
  static constexpr const int8_t (&kValues)[16] = kIq4Values;
  static void split(const Block& block, KParts& parts) {
    parts.d = block.d;
    // scale_iq4_xs, all eight.
    const uint64_t low = _pdep_u64(load_u32(block.scales_l), 0x0f0f0f0f0f0f0f0f);
    store_u64(parts.scales, minus_32(low | _pdep_u64(block.scales_h, 0x3030303030303030)));
    for (int j = 0; j < 8; ++j) {
      const uint8_t* qs = block.qs + j * 16;
      const __m256i both = load_two_16(qs, qs);
      const __m256i codes = _mm256_blend_epi32(both, _mm256_srli_epi16(both, 4), 0xf0);
      store_32(parts.codes + j * 32, _mm256_and_si256(codes, _mm256_set1_epi8(15)));
    }
  }
};

// The layout above for format F in panels of R rows.
template <class F, int R>
struct KPanel {
  static constexpr int kRows = R;
  static constexpr int kUnitCols = 256;
  static constexpr int64_t kPrepared = sizeof(KActivation);
  static constexpr int kVector = R * 4;
  static constexpr int kScalesAt = F::kMinimum ? R * 4 : R * 2;
  static constexpr int kMinimaAt = kScalesAt + R * 8;  // sub-blocks of 32 only
  static constexpr int kHeadBytes = kScalesAt + (F::kTable && F::kSubBlock == 32 ? R * 8 : R * 16);
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
    LookAhead ahead = rows_ahead<R>(rows, begin, blocks);
    for (int64_t p = begin; p < end; ++p) {
      auto* panel = reinterpret_cast<uint8_t*>(packed) + static_cast<uint64_t>(p) * panel_bytes(desc.cols);
      uint8_t* codes = panel + heads_bytes(desc.cols);
      for (int64_t b = 0; b < blocks; ++b) {
        uint8_t planes[R][kCodeBytes / R];
        const uint8_t* pointers[R];
        ahead.next<R * sizeof(typename F::Block)>();
        for (int r = 0; r < R; ++r) {
          KParts parts;
          const int64_t row = p * R + r;
          if (row < desc.rows) {
            F::split(rows[row * blocks + b], parts);
          } else {
            parts = KParts{};  // all zero
          }
          pack_head(parts, r, panel + b * kHeadBytes);
          fold_plane<F::kLowBits, 0>(parts.codes, planes[r]);
          fold_plane<F::kHighBits, F::kLowBits>(parts.codes, planes[r] + F::kLowBits * 32);
          pointers[r] = planes[r];
        }
        for (int r = 0; r < R; r += 8) {
          transpose_rows<kCodeBytes / R / 4>(pointers + r, codes + b * kCodeBytes + r * 4, kVector);
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
        if constexpr (F::kMinimum) head[kMinimaAt + pair_at(j, row)] = parts.minima[j];
      }
    } else {
      for (int j = 0; j < 16; ++j) {
        const int minimum = F::kMinimum ? parts.minima[j] << 4 : 0;
        head[kScalesAt + pair_at(j, row)] = static_cast<uint8_t>(parts.scales[j] | minimum);
      }
    }
  }
  static int pair_at(int sub_block, int row) { return (sub_block / 2 * R + row) * 2 + sub_block % 2; }

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
          if constexpr (F::kMinimum) packed_minimum = head[kMinimaAt + pair_at(j, r)];
          if constexpr (F::kTable) packed_scale = static_cast<int8_t>(packed_scale);
        } else {
          packed_scale = head[kScalesAt + pair_at(j, r)];
          if constexpr (F::kMinimum) {
            packed_minimum = packed_scale >> 4;
            packed_scale &= 15;
          } else {
            packed_scale = static_cast<int8_t>(packed_scale);
          }
        }
        const float scale = _cvtsh_ss(d) * F::kFactor * static_cast<float>(packed_scale);
        const float minimum = _cvtsh_ss(dmin) * static_cast<float>(packed_minimum);
        for (int k = j * F::kSubBlock; k < (j + 1) * F::kSubBlock; ++k) {
          const int q = read_plane<F::kLowBits>(codes, k) | read_plane<F::kHighBits>(codes + kHighAt, k) << F::kLowBits;
          const float product = scale * static_cast<float>(F::kTable ? F::kValues[q] : q - F::kZero);
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
