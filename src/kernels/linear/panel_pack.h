// Packing with vectors: what turns rows of the file into panels, where a vector holds the same bytes of every row. All
// of it is one transpose of 4-byte pieces, with codes narrowed to their bits before it.
//
// AVX2 alone, for the AVX-512 kernels' panels too: the transpose is bound by the 16 streams that it reads. ISA files
// include this: everything has internal linkage. Pure; any thread, over its own panels.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/linear/look_ahead.h"

namespace tern {
namespace {

inline __m256i load_32(const uint8_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
inline void store_32(uint8_t* to, __m256i value) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value); }
inline __m256i load_two_16(const uint8_t* low, const uint8_t* high) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(low))),
                                 _mm_loadu_si128(reinterpret_cast<const __m128i*>(high)), 1);
}

// x[i]: four pieces of row i and, in the upper half, of row i + 4. Afterwards x[i]: piece i of the rows 0 to 7.
inline void transpose_8x4(__m256i (&x)[4]) {
  const __m256i low_even = _mm256_unpacklo_epi32(x[0], x[1]), low_odd = _mm256_unpacklo_epi32(x[2], x[3]);
  const __m256i high_even = _mm256_unpackhi_epi32(x[0], x[1]), high_odd = _mm256_unpackhi_epi32(x[2], x[3]);
  x[0] = _mm256_unpacklo_epi64(low_even, low_odd);
  x[1] = _mm256_unpackhi_epi64(low_even, low_odd);
  x[2] = _mm256_unpacklo_epi64(high_even, high_odd);
  x[3] = _mm256_unpackhi_epi64(high_even, high_odd);
}

// Pieces [0, kPieces) of 8 rows to to[piece * stride + row * 4]; kPieces a multiple of 4.
template <int kPieces>
inline void transpose_rows(const uint8_t* const* rows, uint8_t* to, int64_t stride) {
  for (int piece = 0; piece < kPieces; piece += 4) {
    __m256i x[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) x[i] = load_two_16(rows[i] + piece * 4, rows[i + 4] + piece * 4);
    transpose_8x4(x);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) store_32(to + (piece + i) * stride, x[i]);
  }
}

// Walks over the rows of the panel behind the one that is packed, a block of each row at a time. A panel's rows are as
// many streams of a few cache lines, which the processor's prefetchers do not learn; together they are one stretch of
// the file.
template <int kRows, class Block>
inline LookAhead rows_ahead(const Block* rows, int64_t panel, int64_t blocks) {
  return {reinterpret_cast<const uint8_t*>(rows + (panel + 1) * kRows * blocks), kRows * sizeof(Block), 0, 1};
}

// ---- blocks of 32 codes

// 16 bytes of nibbles a row, byte j with the codes j and j + 16, as four pieces: piece p has the codes 8 p .. 8 p + 3
// in its low and the next four in its high nibbles.
inline void pack_nibbles(const uint8_t* const* rows, uint8_t* to, int64_t stride) {
  const __m256i mask = _mm256_set1_epi8(15);
  __m256i x[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m256i both = load_two_16(rows[i], rows[i + 4]);
    const __m256i low = _mm256_and_si256(both, mask), high = _mm256_and_si256(_mm256_srli_epi16(both, 4), mask);
    // The upper 4 bytes of each 8 join the lower ones, in their free nibbles.
    const __m256i low_pairs = _mm256_or_si256(low, _mm256_srli_epi64(low, 28));
    const __m256i high_pairs = _mm256_or_si256(high, _mm256_srli_epi64(high, 28));
    x[i] =
        _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(low_pairs), _mm256_castsi256_ps(high_pairs), 0x88));
  }
  transpose_8x4(x);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) store_32(to + i * stride, x[i]);
}

// 32 signed bytes a row as eight pieces, plus 128.
inline void pack_bytes(const uint8_t* const* rows, uint8_t* to, int64_t stride) {
#pragma GCC unroll 2
  for (int half = 0; half < 2; ++half) {
    __m256i x[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      x[i] = _mm256_xor_si256(load_two_16(rows[i] + half * 16, rows[i + 4] + half * 16), _mm256_set1_epi8(-128));
    }
    transpose_8x4(x);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) store_32(to + (half * 4 + i) * stride, x[i]);
  }
}

// Bit k of `high` is the fifth bit of code k; bit g of byte i of the result is that of code 4 g + i.
inline uint32_t fifth_bits(uint32_t high) {
  uint32_t bits = 0;
  for (int i = 0; i < 4; ++i) bits |= _pext_u32(high, 0x11111111u << i) << 8 * i;
  return bits;
}

// ---- planes of 256 codes

// 4-byte pieces of codes below 2^kBits, two by two: the odd ones go above the even ones.
template <int kBits>
inline __m256i fold(__m256i a, __m256i b) {
  const __m256i first = _mm256_or_si256(a, _mm256_srli_epi64(a, 32 - kBits));
  const __m256i second = _mm256_or_si256(b, _mm256_srli_epi64(b, 32 - kBits));
  const __m256 even = _mm256_shuffle_ps(_mm256_castsi256_ps(first), _mm256_castsi256_ps(second), 0x88);
  return _mm256_permute4x64_epi64(_mm256_castps_si256(even), 0xd8);
}

// Bits [kFrom, kFrom + kBits) of one row's 256 codes as kBits * 32 bytes; kBits 0, 1, 2 or 4.
template <int kBits, int kFrom>
inline void fold_plane(const uint8_t codes[256], uint8_t* plane) {
  const auto field = [&](int i) {
    const __m256i mask = _mm256_set1_epi8((1 << kBits) - 1);
    return _mm256_and_si256(_mm256_srli_epi16(load_32(codes + i * 32), kFrom), mask);
  };
  if constexpr (kBits == 4) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) store_32(plane + i * 32, fold<4>(field(i * 2), field(i * 2 + 1)));
  }
  const auto quarter = [&](int i) { return fold<kBits>(field(i * 2), field(i * 2 + 1)); };
  if constexpr (kBits == 2) {
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) store_32(plane + i * 32, fold<4>(quarter(i * 2), quarter(i * 2 + 1)));
  }
  if constexpr (kBits == 1) {
    store_32(plane, fold<4>(fold<2>(quarter(0), quarter(1)), fold<2>(quarter(2), quarter(3))));
  }
}

// ---- numbers without blocks

// The columns of 16 rows side by side: columns * 16 * kSize bytes, an odd last column of pairs followed by zeros.
// Pairs: two neighbouring columns of 2 bytes lie together in a row's 4 bytes. Rows from `present` on are zero.
template <int kSize, bool kPairs>
class ColumnPacker {
 public:
  ColumnPacker(const uint8_t* first_row, int64_t row_bytes, int64_t present)
      : first_row_(first_row), row_bytes_(row_bytes), present_(present) {}

  // Columns [begin, end), even where there are pairs, of which those from `columns` on do not exist.
  void pack(int64_t begin, int64_t end, int64_t columns, uint8_t* to) const {
    const int64_t whole = present_ == 16 ? (columns < end ? columns : end) : begin;
    int64_t k = begin;
    for (; k + kStep <= whole; k += kStep, to += kStep * 16 * kSize) {
      const uint8_t* rows[16];
      for (int r = 0; r < 16; ++r) rows[r] = first_row_ + r * row_bytes_ + k * kSize;
      step(rows, to);
    }
    for (; k < end; k += kStep) {  // by way of copies, where something is missing
      uint8_t copies[16][64] = {};
      alignas(32) uint8_t packed[16 * 64];
      const uint8_t* rows[16];
      const int64_t count = (columns - k < kStep ? columns - k : kStep) * kSize;
      for (int r = 0; r < 16; ++r) {
        rows[r] = copies[r];
        const uint8_t* from = first_row_ + r * row_bytes_ + k * kSize;
        for (int64_t i = 0; i < count && r < present_; ++i) copies[r][i] = from[i];
      }
      step(rows, packed);
      const int64_t bytes = (end - k < kStep ? end - k : kStep) * 16 * kSize;
      for (int64_t i = 0; i < bytes; ++i) *to++ = packed[i];
    }
  }

 private:
  // A cache line of 8 rows at a time: 16 rows of 8 KiB would lie in one set of the first-level cache.
  static constexpr int kStep = 64 / kSize;
  static void step(const uint8_t* const (&rows)[16], uint8_t* to) {
    for (int half = 0; half < 16; half += 8) {
      if constexpr (kSize == 4 || kPairs) {
        transpose_rows<16>(rows + half, to + half * 4, 64);
      } else {
        alignas(32) uint8_t pairs[16 * 32];
        transpose_rows<16>(rows + half, pairs, 32);
        for (int i = 0; i < 16; ++i) split_pair(load_32(pairs + i * 32), to + i * 64 + half * 2);
      }
    }
  }
  // Two columns of 8 rows that lie together, into one column after the other, 32 bytes apart.
  static void split_pair(__m256i pairs, uint8_t* to) {
    const __m256i order = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15,  //
                                           0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    const __m256i split = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(pairs, order), 0xd8);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(split));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 32), _mm256_extracti128_si256(split, 1));
  }

  const uint8_t* first_row_;
  int64_t row_bytes_, present_;
};

}  // namespace
}  // namespace tern
