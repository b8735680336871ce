// Linear for F8_E4M3 weights in blocks of 32 under an f32 scale, on AVX-512, with f32 activations: nothing but the f32
// sums is rounded. An e4m3's bits, moved under its sign, are those of an f16 2^8 times too small, subnormals and all.
//
// Layout, in the order of chunked_panels.h: units of 32 columns, [16 rows] f32 scales, then [32 columns][16 rows] e4m3.
// Sums: two chains, over even and odd columns, added at the end of a chunk to the chunks' total, in every entry.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"
#include "kernels/linear/chunked_panels.h"
#include "kernels/linear/linear_impl.h"
#include "quant/f8_e4m3.h"

namespace tern {
namespace {

#define TERN_INLINE [[gnu::always_inline]] inline
#define TERN_UNROLL _Pragma("GCC unroll 16")

constexpr int kBlock = 32;

struct Unit {
  static constexpr int kUnitCols = kBlock;
  static constexpr int64_t kCodesAt = kPanelRows * 4;
  static constexpr int64_t kBytes = kCodesAt + kBlock * kPanelRows;
  static constexpr int64_t kPrepared = kBlock * 4;
};

bool supports(const LinearDesc& desc) {
  return desc.format == Format::kF8E4M3 && desc.cols > 0 && desc.cols % kBlock == 0;
}
uint64_t packed_bytes(const LinearDesc& desc) { return Chunks<Unit>(desc).bytes(); }

void pack(const LinearDesc& desc, const std::byte* source, std::byte* packed, int64_t begin, int64_t end) {
  const Chunks<Unit> chunks(desc);
  const auto* rows = reinterpret_cast<const BlockF8E4M3*>(source);
  const int64_t blocks = desc.cols / kBlock;
  for (int64_t panel = begin; panel < end; ++panel) {
    chunks.each_unit(panel, [&](int64_t unit, int64_t at) {
      for (int64_t lane = 0; lane < kPanelRows; ++lane) {
        const int64_t row = panel * kPanelRows + lane;
        const BlockF8E4M3 block = row < desc.rows ? rows[row * blocks + unit] : BlockF8E4M3{};
        __builtin_memcpy(packed + at + lane * 4, &block.d, 4);
        for (int k = 0; k < kBlock; ++k) {
          packed[at + Unit::kCodesAt + k * kPanelRows + lane] = static_cast<std::byte>(block.qs[k]);
        }
      }
    });
  }
}

// Two columns of 16 rows: e4m3 to f32, times 2^-8.
struct ColumnPair {
  __m512 even, odd;
};
TERN_INLINE ColumnPair load_pair(const std::byte* codes) {
  const __m512i bytes = _mm512_cvtepu8_epi16(_mm256_load_si256(reinterpret_cast<const __m256i*>(codes)));
  const __m512i halves = _mm512_and_si512(_mm512_srai_epi16(_mm512_slli_epi16(bytes, 8), 1),
                                          _mm512_set1_epi16(static_cast<int16_t>(0xbfff)));
  return {_mm512_cvtph_ps(_mm512_castsi512_si256(halves)), _mm512_cvtph_ps(_mm512_extracti64x4_epi64(halves, 1))};
}

void read_row(const LinearDesc& desc, const std::byte* weights, int64_t row, float* out) {
  const Chunks<Unit> chunks(desc);
  const auto lane = static_cast<int>(row % kPanelRows);
  chunks.each_unit(row / kPanelRows, [&](int64_t unit, int64_t at) {
    float d;
    __builtin_memcpy(&d, weights + at + lane * 4, 4);
    for (int k = 0; k < kBlock; ++k) {
      const auto code = static_cast<int>(weights[at + Unit::kCodesAt + k * kPanelRows + lane]);
      const auto half = static_cast<uint16_t>((code & 0x80) << 8 | (code & 0x7f) << 7);
      out[unit * kBlock + k] = d * (_cvtsh_ss(half) * 256.0f);
    }
  });
}

uint64_t prepared_bytes(int64_t cols) { return (static_cast<uint64_t>(cols) * 4 + 63) / 64 * 64; }
void prepare(const float* x, int64_t cols, std::byte* prepared) {
  __builtin_memcpy(prepared, x, static_cast<size_t>(cols) * sizeof(float));
}

template <int T>
[[gnu::aligned(64)]] void tile(const TileArgs& args) {
  __m512 even[T], odd[T];
  TERN_UNROLL
  for (int t = 0; t < T; ++t) even[t] = odd[t] = _mm512_setzero_ps();
  const std::byte* unit = args.weights;
  const std::byte* prepared = args.prepared;
  LookAhead ahead = args.ahead;
  for (int64_t u = 0; u < args.units; ++u, unit += Unit::kBytes, prepared += Unit::kPrepared) {
    if constexpr (T >= kLookAheadTile) ahead.next<Unit::kBytes>();
    const __m512 scale = _mm512_mul_ps(_mm512_load_ps(unit), _mm512_set1_ps(256.0f));
#pragma GCC unroll 2
    for (int p = 0; p < kBlock / 2; ++p) {
      const ColumnPair codes = load_pair(unit + Unit::kCodesAt + p * 2 * kPanelRows);
      const __m512 w_even = _mm512_mul_ps(codes.even, scale), w_odd = _mm512_mul_ps(codes.odd, scale);
      TERN_UNROLL
      for (int t = 0; t < T; ++t) {
        const auto* x = reinterpret_cast<const float*>(prepared + t * args.prepared_stride) + 2 * p;
        even[t] = _mm512_fmadd_ps(w_even, _mm512_set1_ps(x[0]), even[t]);
        odd[t] = _mm512_fmadd_ps(w_odd, _mm512_set1_ps(x[1]), odd[t]);
      }
    }
  }
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

constexpr TileFunction kTiles[kTile] = {tile<1>, tile<2>, tile<3>, tile<4>, tile<5>, tile<6>, tile<7>, tile<8>};

void run(const LinearJob& job, int64_t begin, int64_t end) { run_panels<Unit>(job, kTiles, kTile, begin, end); }

Cost cost(const LinearDesc& desc, int64_t tokens) { return panel_cost(desc, tokens, 9.0, Arithmetic::kF32); }

constexpr LinearImpl kRows[] = {{.name = "avx512_f8x32",
                                 .layout = "f8x32",
                                 .needs = kIsaAvx2 | kIsaAvx512,
                                 .panel_rows = kPanelRows,
                                 .supports = supports,
                                 .packed_bytes = packed_bytes,
                                 .pack = pack,
                                 .prepared_bytes = prepared_bytes,
                                 .prepare = prepare,
                                 .run = run,
                                 .read_row = read_row,
                                 .cost = cost}};

}  // namespace

const LinearImplSpan kLinearAvx512Fp8 = {kRows, 1};

}  // namespace tern
