// Linear for weights without blocks, on AVX-512: BF16 by vdpbf16ps with activations rounded to bf16 (twice the speed of
// f32 at an error of 1e-6 of the energy, a fiftieth of what 8-bit activations cost), F32, F16 and, without that
// instruction, BF16 by f32 multiply-adds with f32 activations.
//
// Layout, in the order of chunked_panels.h (units of 4 columns; missing ones are zero):
//   F32, F16:  [4 columns][16 rows]
//   BF16:      [2 pairs][16 rows][2 columns], the even column the lower half of a 32-bit lane
// Sums: two chains, over even and odd columns (f32) or pairs (bf16), added at the end of a chunk to the chunks' total,
// in every entry.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"
#include "kernels/linear/chunked_panels.h"
#include "kernels/linear/linear_impl.h"
#include "kernels/linear/panel_pack.h"
#include "quant/nvfp4.h"

namespace tern {
namespace {

#define TERN_INLINE [[gnu::always_inline]] inline
#define TERN_UNROLL _Pragma("GCC unroll 16")

constexpr int kUnit = 4;  // columns

TERN_INLINE __m512i load_zmm(const std::byte* from) { return _mm512_load_si512(from); }
uint16_t load_u16(const std::byte* from) {
  uint16_t bits;
  __builtin_memcpy(&bits, from, sizeof(bits));
  return bits;
}

// Element: bytes in the file and packed; kPairs: two columns of a row lie together; at(row, column): where it lies in a
// unit; pair: columns 2 p and 2 p + 1 as f32.
struct ColumnPair {
  __m512 even, odd;
};

struct F32 {
  static constexpr int kSize = 4;
  static constexpr bool kPairs = false;
  static constexpr int at(int row, int column) { return (column * kPanelRows + row) * kSize; }
  static float value(const std::byte* from) {
    float value;
    __builtin_memcpy(&value, from, sizeof(value));
    return value;
  }
  TERN_INLINE static ColumnPair pair(const std::byte* unit, int p) {
    return {_mm512_castsi512_ps(load_zmm(unit + 128 * p)), _mm512_castsi512_ps(load_zmm(unit + 128 * p + 64))};
  }
};

struct F16 {
  static constexpr int kSize = 2;
  static constexpr bool kPairs = false;
  static constexpr int at(int row, int column) { return (column * kPanelRows + row) * kSize; }
  static float value(const std::byte* from) { return _cvtsh_ss(load_u16(from)); }
  TERN_INLINE static ColumnPair pair(const std::byte* unit, int p) {
    const __m512i both = load_zmm(unit + 64 * p);
    return {_mm512_cvtph_ps(_mm512_castsi512_si256(both)), _mm512_cvtph_ps(_mm512_extracti64x4_epi64(both, 1))};
  }
};

struct BF16 {
  static constexpr int kSize = 2;
  static constexpr bool kPairs = true;
  static constexpr int at(int row, int column) { return column / 2 * 64 + row * 4 + column % 2 * 2; }
  static float value(const std::byte* from) {
    const uint32_t bits = static_cast<uint32_t>(load_u16(from)) << 16;
    float value;
    __builtin_memcpy(&value, &bits, sizeof(value));
    return value;
  }
  TERN_INLINE static ColumnPair pair(const std::byte* unit, int p) {
    const __m512i both = load_zmm(unit + 64 * p);
    const __m512i upper = _mm512_set1_epi32(static_cast<int32_t>(0xffff0000u));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(both, 16)), _mm512_castsi512_ps(_mm512_and_si512(both, upper))};
  }
};

// What chunked_panels.h wants to know. A: bytes of an activation.
template <typename W, int A>
struct Unit {
  static constexpr int kUnitCols = kUnit;
  static constexpr int64_t kBytes = kUnit * kPanelRows * W::kSize;
  static constexpr int64_t kPrepared = kUnit * A;
};

// ---- packing and reading back

template <typename W, int A>
void pack(const LinearDesc& desc, const std::byte* source, std::byte* packed, int64_t begin, int64_t end) {
  const Chunks<Unit<W, A>> chunks(desc);
  const auto* rows = reinterpret_cast<const uint8_t*>(source);
  for (int64_t panel = begin; panel < end; ++panel) {
    const int64_t row = panel * kPanelRows;
    const int64_t present = desc.rows - row < kPanelRows ? desc.rows - row : kPanelRows;
    const ColumnPacker<W::kSize, W::kPairs> packer(rows + row * desc.cols * W::kSize, desc.cols * W::kSize, present);
    for (int64_t chunk = 0; chunk < chunks.count; ++chunk) {
      packer.pack(chunks.first_unit(chunk) * kUnit, chunks.first_unit(chunk + 1) * kUnit, desc.cols,
                  reinterpret_cast<uint8_t*>(packed) + chunks.offset(panel, chunk));
    }
  }
}

// NVFP4 as the bf16 that hold it exactly.
template <int A>
void pack_nvfp4(const LinearDesc& desc, const std::byte* source, std::byte* packed, int64_t begin, int64_t end) {
  const Chunks<Unit<BF16, A>> chunks(desc);
  const auto* blocks = reinterpret_cast<const BlockNVFP4*>(source);
  for (int64_t panel = begin; panel < end; ++panel) {
    chunks.each_unit(panel, [&](int64_t unit, int64_t at) {
      for (int lane = 0; lane < kPanelRows; ++lane) {
        const int64_t row = panel * kPanelRows + lane, first = row * desc.cols + unit * kUnit;
        for (int c = 0; c < kUnit; ++c) {
          const float value = row < desc.rows ? value_nvfp4(blocks[(first + c) / 64], (first + c) % 64) : 0.0f;
          uint32_t bits;
          __builtin_memcpy(&bits, &value, sizeof(bits));
          const auto upper = static_cast<uint16_t>(bits >> 16);
          __builtin_memcpy(packed + at + BF16::at(lane, c), &upper, sizeof(upper));
        }
      }
    });
  }
}

template <typename W, int A>
void read_row(const LinearDesc& desc, const std::byte* weights, int64_t row, float* out) {
  const Chunks<Unit<W, A>> chunks(desc);
  const int lane = static_cast<int>(row % kPanelRows);
  chunks.each_unit(row / kPanelRows, [&](int64_t unit, int64_t at) {
    for (int c = 0; c < kUnit && unit * kUnit + c < desc.cols; ++c) {
      out[unit * kUnit + c] = W::value(weights + at + W::at(lane, c));
    }
  });
}

// ---- activations

template <int A>
uint64_t prepared_bytes(int64_t cols) {
  return (static_cast<uint64_t>(cols + kUnit - 1) / kUnit * kUnit * A + 63) / 64 * 64;
}

void prepare_f32(const float* x, int64_t cols, std::byte* prepared) {
  __builtin_memcpy(prepared, x, static_cast<size_t>(cols) * sizeof(float));
  if (cols % kUnit != 0) __builtin_memset(prepared + cols * 4, 0, static_cast<size_t>(kUnit - cols % kUnit) * 4);
}

void prepare_bf16(const float* x, int64_t cols, std::byte* prepared) {
  for (int64_t k = 0; k < cols; k += 16, prepared += 32) {
    const auto present = static_cast<__mmask16>(cols - k >= 16 ? 0xffff : (1 << (cols - k)) - 1);
    const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(present, x + k));
    __builtin_memcpy(prepared, &rounded, 32);  // the row is a multiple of 64 bytes long
  }
}

// ---- products

// The end of a tile: this chunk's sums join those before.
template <int T>
TERN_INLINE void finish(const TileArgs& args, __m512 (&even)[T], __m512 (&odd)[T]) {
  const auto rows = static_cast<__mmask16>(args.rows);
  const __m512 bias = args.bias == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(rows, args.bias);
  TERN_UNROLL
  for (int t = 0; t < T; ++t) {
    float* out = args.out + t * args.out_stride;
    __m512 sum = _mm512_add_ps(even[t], odd[t]);
    if (!args.first) sum = _mm512_add_ps(_mm512_maskz_loadu_ps(rows, out), sum);
    if (args.last) sum = _mm512_add_ps(sum, bias);
    _mm512_mask_storeu_ps(out, rows, sum);
  }
}

template <typename W, int T>
[[gnu::aligned(64)]] void tile_f32(const TileArgs& args) {
  __m512 even[T], odd[T];
  TERN_UNROLL
  for (int t = 0; t < T; ++t) even[t] = odd[t] = _mm512_setzero_ps();
  const std::byte* unit = args.weights;
  const std::byte* prepared = args.prepared;
  LookAhead ahead = args.ahead;
  for (int64_t u = 0; u < args.units; ++u, unit += Unit<W, 4>::kBytes, prepared += kUnit * 4) {
    if constexpr (T >= kLookAheadTile) ahead.next<Unit<W, 4>::kBytes>();
    TERN_UNROLL
    for (int p = 0; p < kUnit / 2; ++p) {
      const ColumnPair w = W::pair(unit, p);
      TERN_UNROLL
      for (int t = 0; t < T; ++t) {
        const auto* x = reinterpret_cast<const float*>(prepared + t * args.prepared_stride) + 2 * p;
        even[t] = _mm512_fmadd_ps(w.even, _mm512_set1_ps(x[0]), even[t]);
        odd[t] = _mm512_fmadd_ps(w.odd, _mm512_set1_ps(x[1]), odd[t]);
      }
    }
  }
  finish<T>(args, even, odd);
}

TERN_INLINE __m512 dot_pair(__m512 sum, __m512i w, const std::byte* x) {
  int32_t pair;
  __builtin_memcpy(&pair, x, sizeof(pair));
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(w), reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair)));
}

template <int T>
[[gnu::aligned(64)]] void tile_bf16(const TileArgs& args) {
  __m512 even[T], odd[T];
  TERN_UNROLL
  for (int t = 0; t < T; ++t) even[t] = odd[t] = _mm512_setzero_ps();
  const std::byte* unit = args.weights;
  const std::byte* prepared = args.prepared;
  LookAhead ahead = args.ahead;
  for (int64_t u = 0; u < args.units; ++u, unit += Unit<BF16, 2>::kBytes, prepared += kUnit * 2) {
    if constexpr (T >= kLookAheadTile) ahead.next<Unit<BF16, 2>::kBytes>();
    const __m512i first = load_zmm(unit);
    const __m512i second = load_zmm(unit + 64);
    TERN_UNROLL
    for (int t = 0; t < T; ++t) even[t] = dot_pair(even[t], first, prepared + t * args.prepared_stride);
    TERN_UNROLL
    for (int t = 0; t < T; ++t) odd[t] = dot_pair(odd[t], second, prepared + t * args.prepared_stride + 4);
  }
  finish<T>(args, even, odd);
}

template <typename W>
constexpr TileFunction kTilesF32[kTile] = {tile_f32<W, 1>, tile_f32<W, 2>, tile_f32<W, 3>, tile_f32<W, 4>,
                                           tile_f32<W, 5>, tile_f32<W, 6>, tile_f32<W, 7>, tile_f32<W, 8>};
constexpr TileFunction kTilesBf16[kTile] = {tile_bf16<1>, tile_bf16<2>, tile_bf16<3>, tile_bf16<4>,
                                            tile_bf16<5>, tile_bf16<6>, tile_bf16<7>, tile_bf16<8>};

// ---- rows of the table

template <Format format>
bool supports(const LinearDesc& desc) {
  return desc.format == format && desc.cols > 0;
}
template <typename W, int A>
uint64_t packed_bytes(const LinearDesc& desc) {
  return Chunks<Unit<W, A>>(desc).bytes();
}
template <typename W>
void run_f32(const LinearJob& job, int64_t begin, int64_t end) {
  run_panels<Unit<W, 4>>(job, kTilesF32<W>, kTile, begin, end);
}
void run_bf16(const LinearJob& job, int64_t begin, int64_t end) {
  run_panels<Unit<BF16, 2>>(job, kTilesBf16, kTile, begin, end);
}
template <typename W, Arithmetic kArithmetic>
Cost cost(const LinearDesc& desc, int64_t tokens) {
  return panel_cost(desc, tokens, 8.0 * W::kSize, kArithmetic);
}

template <typename W, Format format>
constexpr LinearImpl with_f32(const char* name, const char* layout) {
  return {.name = name,
          .layout = layout,
          .needs = kIsaAvx2 | kIsaAvx512,
          .panel_rows = kPanelRows,
          .supports = supports<format>,
          .packed_bytes = packed_bytes<W, 4>,
          .pack = pack<W, 4>,
          .prepared_bytes = prepared_bytes<4>,
          .prepare = prepare_f32,
          .run = run_f32<W>,
          .read_row = read_row<W, 4>,
          .cost = cost<W, Arithmetic::kF32>};
}

bool supports_nvfp4(const LinearDesc& desc) {
  return desc.format == Format::kNVFP4 && desc.cols > 0 && desc.cols % 64 == 0;
}
// The row over packed bf16 for NVFP4.
constexpr LinearImpl for_nvfp4(LinearImpl row, const char* name, decltype(LinearImpl::pack) pack) {
  row.name = name;
  row.supports = supports_nvfp4;
  row.pack = pack;
  return row;
}

constexpr LinearImpl kBf16Dot = {.name = "avx512_bf16dot",
                                 .layout = "bf16x16",
                                 .needs = kIsaAvx2 | kIsaAvx512 | kIsaAvx512Bf16,
                                 .panel_rows = kPanelRows,
                                 .supports = supports<Format::kBF16>,
                                 .packed_bytes = packed_bytes<BF16, 2>,
                                 .pack = pack<BF16, 2>,
                                 .prepared_bytes = prepared_bytes<2>,
                                 .prepare = prepare_bf16,
                                 .run = run_bf16,
                                 .read_row = read_row<BF16, 2>,
                                 .cost = cost<BF16, Arithmetic::kBf16>};
constexpr LinearImpl kBf16 = with_f32<BF16, Format::kBF16>("avx512_bf16", "bf16x16");

constexpr LinearImpl kRows[] = {
    kBf16Dot,
    kBf16,
    with_f32<F16, Format::kF16>("avx512_f16", "f16x16"),
    with_f32<F32, Format::kF32>("avx512_f32", "f32x16"),
    for_nvfp4(kBf16Dot, "avx512_nvfp4_bf16dot", pack_nvfp4<2>),
    for_nvfp4(kBf16, "avx512_nvfp4_bf16", pack_nvfp4<4>),
};

}  // namespace

const LinearImplSpan kLinearAvx512Float = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace tern
