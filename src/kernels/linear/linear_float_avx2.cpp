// AVX2 products of weights without blocks: F32, F16, BF16. Activations stay f32.
//
// Packed panel of 16 rows, column after column, so that one column of a panel is two vectors of 8 f32:
//   F32, F16: [cols][16];  BF16: [cols / 2 rounded up][16][2], two neighbouring columns in a row's 32 bits.
// For a row and a token y = fma(w[k], x[k], y), k ascending from zero: one chain, the same in every tile.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"
#include "kernels/linear/linear_impl.h"
#include "kernels/linear/panel_pack.h"
#include "kernels/linear/panel_run.h"
#include "quant/nvfp4.h"

namespace tern {
namespace {

struct Pair {
  __m256 rows[2];  // rows 0..7 and 8..15 of one column
};

inline __m256i load_ymm(const uint8_t* bytes) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes)); }
inline __m128i load_xmm(const uint8_t* bytes) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)); }

// Per format: bytes of an element, columns that lie together, and how to load the c-th of them.
struct F32 {
  static constexpr Format kFormat = Format::kF32;
  static constexpr int kBytes = 4, kColumns = 1;
  template <int c>
  static Pair load(const uint8_t* at) {
    return {{_mm256_castsi256_ps(load_ymm(at)), _mm256_castsi256_ps(load_ymm(at + 32))}};
  }
  static float decode(const uint8_t* at) {
    float value;
    __builtin_memcpy(&value, at, 4);
    return value;
  }
};
struct F16 {
  static constexpr Format kFormat = Format::kF16;
  static constexpr int kBytes = 2, kColumns = 1;
  template <int c>
  static Pair load(const uint8_t* at) {
    return {{_mm256_cvtph_ps(load_xmm(at)), _mm256_cvtph_ps(load_xmm(at + 16))}};
  }
  static float decode(const uint8_t* at) {
    uint16_t bits;
    __builtin_memcpy(&bits, at, 2);
    return _cvtsh_ss(bits);
  }
};
struct BF16 {
  static constexpr Format kFormat = Format::kBF16;
  static constexpr int kBytes = 2, kColumns = 2;
  template <int c>
  static Pair load(const uint8_t* at) {  // the even column is the low half of 32 bits, the odd one the high half
    Pair pair;
    for (int half = 0; half < 2; ++half) {
      const __m256i bits = load_ymm(at + half * 32);
      pair.rows[half] =
          _mm256_castsi256_ps(c == 0 ? _mm256_slli_epi32(bits, 16) : _mm256_and_si256(bits, _mm256_set1_epi32(-65536)));
    }
    return pair;
  }
  static float decode(const uint8_t* at) {
    uint16_t bits;
    __builtin_memcpy(&bits, at, 2);
    const uint32_t wide = static_cast<uint32_t>(bits) << 16;
    float value;
    __builtin_memcpy(&value, &wide, 4);
    return value;
  }
};

template <class F>
struct Kernel {
  static constexpr Arithmetic kArithmetic = Arithmetic::kF32;
  static constexpr int kRows = 16;
  // 2 x 5 sums, 2 weights, a broadcast: 13 of 16 registers; 10 chains hide the fma's latency of 4 at 2 a cycle.
  static constexpr int kTile = 5;
  static constexpr int kStepBytes = kRows * F::kBytes * F::kColumns;
  // A unit is a step, and has no head.
  static constexpr int kUnitCols = F::kColumns, kHeadBytes = 0, kCodeBytes = kStepBytes;
  static constexpr int64_t kPrepared = F::kColumns * 4;
  static int64_t heads_bytes(int64_t) { return 0; }

  static int64_t steps(int64_t cols) { return (cols + F::kColumns - 1) / F::kColumns; }
  static uint64_t panel_bytes(int64_t cols) { return round_up_64(static_cast<uint64_t>(steps(cols)) * kStepBytes); }
  static bool supports(const LinearDesc& desc) { return desc.format == F::kFormat && desc.rows > 0 && desc.cols > 0; }
  static uint64_t packed_bytes(const LinearDesc& desc) {
    return static_cast<uint64_t>(panels_of<Kernel>(desc)) * panel_bytes(desc.cols);
  }
  static uint8_t* element(uint8_t* panel, int64_t k, int64_t row) {
    return panel + k / F::kColumns * kStepBytes + (row * F::kColumns + k % F::kColumns) * F::kBytes;
  }

  static void pack(const LinearDesc& desc, const std::byte* source, std::byte* packed, int64_t begin, int64_t end) {
    const auto* rows = reinterpret_cast<const uint8_t*>(source);
    for (int64_t p = begin; p < end; ++p) {
      const int64_t row = p * kRows;
      const int64_t present = desc.rows - row < kRows ? desc.rows - row : kRows;
      auto* panel = reinterpret_cast<uint8_t*>(packed) + static_cast<uint64_t>(p) * panel_bytes(desc.cols);
      const ColumnPacker<F::kBytes, F::kColumns == 2> packer(rows + row * desc.cols * F::kBytes, desc.cols * F::kBytes,
                                                             present);
      packer.pack(0, steps(desc.cols) * F::kColumns, desc.cols, panel);
    }
  }

  static void read_row(const LinearDesc& desc, const std::byte* weights, int64_t row, float* out) {
    auto* panel = reinterpret_cast<uint8_t*>(const_cast<std::byte*>(weights)) +
                  static_cast<uint64_t>(row / kRows) * panel_bytes(desc.cols);
    for (int64_t k = 0; k < desc.cols; ++k) out[k] = F::decode(element(panel, k, row % kRows));
  }

  template <int T, int c>
  static inline void add_column(const uint8_t* weights, const float* const (&x)[T], __m256 (&sums)[T][2]) {
    const Pair w = F::template load<c>(weights);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      const __m256 value = _mm256_set1_ps(x[t][c]);
      sums[t][0] = _mm256_fmadd_ps(w.rows[0], value, sums[t][0]);
      sums[t][1] = _mm256_fmadd_ps(w.rows[1], value, sums[t][1]);
    }
  }

  template <int T>
  static void tile(const PanelTile& tile) {
    LookAhead ahead = tile.ahead;
    const uint8_t* weights = tile.panel + tile.begin * kStepBytes;
    const float* x[T];
    __m256 sums[T][2];
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      x[t] = reinterpret_cast<const float*>(tile.prepared + t * tile.prepared_stride);
      load_rows(tile, t, sums[t]);
    }
    const int64_t whole = tile.cols / F::kColumns < tile.end ? tile.cols / F::kColumns : tile.end;
    for (int64_t step = tile.begin; step < whole; ++step) {
      ahead.next<kStepBytes>();
      add_column<T, 0>(weights, x, sums);
      if constexpr (F::kColumns == 2) add_column<T, 1>(weights, x, sums);
      weights += kStepBytes;
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) x[t] += F::kColumns;
    }
    if (whole < tile.end) add_column<T, 0>(weights, x, sums);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) store_rows(sums[t], tile, t);
  }

  static inline void load_rows(const PanelTile& tile, int64_t t, __m256 (&sums)[2]) {
    alignas(32) float rows[kRows] = {};
    const float* out = tile.out + t * tile.out_stride;
    for (int r = 0; r < tile.rows && !tile.first; ++r) rows[r] = out[r];
    sums[0] = _mm256_load_ps(rows);
    sums[1] = _mm256_load_ps(rows + 8);
  }

  static inline void store_rows(const __m256 (&sums)[2], const PanelTile& tile, int64_t t) {
    float* out = tile.out + t * tile.out_stride;
    const float* bias = tile.last ? tile.bias : nullptr;
    alignas(32) float rows[kRows];
    _mm256_store_ps(rows, sums[0]);
    _mm256_store_ps(rows + 8, sums[1]);
    for (int r = 0; r < tile.rows; ++r) out[r] = bias == nullptr ? rows[r] : rows[r] + bias[r];
  }

  static void run(const LinearJob& job, int64_t begin, int64_t end) { run_panels<Kernel>(job, begin, end); }
};

uint64_t prepared_bytes(int64_t cols) { return prepared_row_bytes(static_cast<uint64_t>(cols) * sizeof(float)); }

void prepare(const float* x, int64_t cols, std::byte* prepared) {
  __builtin_memcpy(prepared, x, static_cast<uint64_t>(cols) * sizeof(float));
}

template <class F>
constexpr LinearImpl row(const char* name, const char* layout) {
  using K = Kernel<F>;
  return {.name = name,
          .layout = layout,
          .needs = kIsaAvx2,
          .panel_rows = K::kRows,
          .supports = K::supports,
          .packed_bytes = K::packed_bytes,
          .pack = K::pack,
          .prepared_bytes = prepared_bytes,
          .prepare = prepare,
          .run = K::run,
          .read_row = K::read_row,
          .cost = panel_cost<K>};
}

// NVFP4 as the bf16 that hold it exactly.
struct Nvfp4 : BF16 {
  static constexpr Format kFormat = Format::kNVFP4;
};
void pack_nvfp4(const LinearDesc& desc, const std::byte* source, std::byte* packed, int64_t begin, int64_t end) {
  using K = Kernel<Nvfp4>;
  const auto* blocks = reinterpret_cast<const BlockNVFP4*>(source);
  for (int64_t p = begin; p < end; ++p) {
    auto* panel = reinterpret_cast<uint8_t*>(packed) + static_cast<uint64_t>(p) * K::panel_bytes(desc.cols);
    for (int64_t r = 0; r < K::kRows; ++r) {
      const int64_t row = p * K::kRows + r;
      for (int64_t k = 0; k < desc.cols; ++k) {
        const int64_t at = row * desc.cols + k;
        const float value = row < desc.rows ? value_nvfp4(blocks[at / 64], at % 64) : 0.0f;
        uint32_t bits;
        __builtin_memcpy(&bits, &value, 4);
        const auto upper = static_cast<uint16_t>(bits >> 16);
        __builtin_memcpy(K::element(panel, k, r), &upper, 2);
      }
    }
  }
}
bool supports_nvfp4(const LinearDesc& desc) { return Kernel<Nvfp4>::supports(desc) && desc.cols % 64 == 0; }
constexpr LinearImpl nvfp4_row() {
  LinearImpl nvfp4 = row<Nvfp4>("avx2_nvfp4_bf16", "bf16x2r16");
  nvfp4.supports = supports_nvfp4;
  nvfp4.pack = pack_nvfp4;
  return nvfp4;
}

constexpr LinearImpl kImpls[] = {row<F32>("avx2_f32", "f32r16"), row<F16>("avx2_f16", "f16r16"),
                                 row<BF16>("avx2_bf16", "bf16x2r16"), nvfp4_row()};

}  // namespace

const LinearImplSpan kLinearAvx2Float = {kImpls, sizeof kImpls / sizeof kImpls[0]};

}  // namespace tern
