// Linear for F8_E4M3 weights in blocks of 32 under an f32 scale, on AVX2, with f32 activations: nothing but the f32
// sums is rounded. An e4m3's bits, moved under its sign, are those of an f16 2^8 times too small, subnormals and all.
//
// Panels of 16 rows, blocks = cols / 32: heads [blocks] x {scale[16] f32}, codes [blocks] x {[32 columns][16 rows]}.
// One chain of sums a row, over the columns in order.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"
#include "kernels/linear/linear_impl.h"
#include "kernels/linear/panel_run.h"
#include "quant/f8_e4m3.h"

namespace tern {
namespace {

constexpr int kBlock = 32;

struct Kernel {
  static constexpr Arithmetic kArithmetic = Arithmetic::kF32;
  static constexpr int kRows = 16;
  // 2 x 4 sums, 2 scales, 2 weights, a broadcast: 13 of 16 registers.
  static constexpr int kTile = 4;
  static constexpr int kUnitCols = kBlock, kHeadBytes = kRows * 4, kCodeBytes = kBlock * kRows;
  static constexpr int64_t kPrepared = kBlock * 4;
  static int64_t heads_bytes(int64_t cols) { return cols / kBlock * kHeadBytes; }
  static uint64_t panel_bytes(int64_t cols) { return static_cast<uint64_t>(cols / kBlock) * (kHeadBytes + kCodeBytes); }
  static bool supports(const LinearDesc& desc) {
    return desc.format == Format::kF8E4M3 && desc.rows > 0 && desc.cols > 0 && desc.cols % kBlock == 0;
  }
  static uint64_t packed_bytes(const LinearDesc& desc) {
    return static_cast<uint64_t>(panels_of<Kernel>(desc)) * panel_bytes(desc.cols);
  }

  static void pack(const LinearDesc& desc, const std::byte* source, std::byte* packed, int64_t begin, int64_t end) {
    const auto* rows = reinterpret_cast<const BlockF8E4M3*>(source);
    const int64_t blocks = desc.cols / kBlock;
    for (int64_t p = begin; p < end; ++p) {
      auto* head = reinterpret_cast<uint8_t*>(packed) + static_cast<uint64_t>(p) * panel_bytes(desc.cols);
      uint8_t* codes = head + heads_bytes(desc.cols);
      for (int64_t b = 0; b < blocks; ++b, head += kHeadBytes, codes += kCodeBytes) {
        for (int64_t r = 0; r < kRows; ++r) {
          const int64_t row = p * kRows + r;
          const BlockF8E4M3 block = row < desc.rows ? rows[row * blocks + b] : BlockF8E4M3{};
          __builtin_memcpy(head + r * 4, &block.d, 4);
          for (int k = 0; k < kBlock; ++k) codes[k * kRows + r] = block.qs[k];
        }
      }
    }
  }

  static void read_row(const LinearDesc& desc, const std::byte* weights, int64_t row, float* out) {
    const auto* head =
        reinterpret_cast<const uint8_t*>(weights) + static_cast<uint64_t>(row / kRows) * panel_bytes(desc.cols);
    const uint8_t* codes = head + heads_bytes(desc.cols) + row % kRows;
    for (int64_t b = 0; b < desc.cols / kBlock; ++b, head += kHeadBytes, codes += kCodeBytes) {
      float d;
      __builtin_memcpy(&d, head + row % kRows * 4, 4);
      for (int k = 0; k < kBlock; ++k) {
        const int code = codes[k * kRows];
        *out++ = d * (_cvtsh_ss(static_cast<uint16_t>((code & 0x80) << 8 | (code & 0x7f) << 7)) * 256.0f);
      }
    }
  }

  template <int T>
  static void tile(const PanelTile& tile) {
    LookAhead ahead = tile.ahead;
    const uint8_t* head = tile.panel + tile.begin * kHeadBytes;
    const uint8_t* codes = tile.panel + heads_bytes(tile.cols) + tile.begin * kCodeBytes;
    const float* x[T];
    __m256 sums[T][2];
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) {
      x[t] = reinterpret_cast<const float*>(tile.prepared + t * tile.prepared_stride);
      load_rows(tile, t, sums[t]);
    }
    const __m256 up = _mm256_set1_ps(256.0f);
    for (int64_t b = tile.begin; b < tile.end; ++b, head += kHeadBytes, codes += kCodeBytes) {
      ahead.next<kHeadBytes + kCodeBytes>();
      const auto* scales = reinterpret_cast<const float*>(head);
      const __m256 low = _mm256_mul_ps(_mm256_loadu_ps(scales), up),
                   high = _mm256_mul_ps(_mm256_loadu_ps(scales + 8), up);
#pragma GCC unroll 2
      for (int k = 0; k < kBlock; ++k) {
        const __m256i bytes =
            _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + k * kRows)));
        const __m256i halves = _mm256_and_si256(_mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 1),
                                                _mm256_set1_epi16(static_cast<int16_t>(0xbfff)));
        const __m256 w_low = _mm256_mul_ps(_mm256_cvtph_ps(_mm256_castsi256_si128(halves)), low);
        const __m256 w_high = _mm256_mul_ps(_mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1)), high);
#pragma GCC unroll 4
        for (int t = 0; t < T; ++t) {
          const __m256 value = _mm256_set1_ps(x[t][k]);
          sums[t][0] = _mm256_fmadd_ps(w_low, value, sums[t][0]);
          sums[t][1] = _mm256_fmadd_ps(w_high, value, sums[t][1]);
        }
      }
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t) x[t] += kBlock;
    }
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) store_rows(sums[t], tile, t);
  }

  static void load_rows(const PanelTile& tile, int64_t t, __m256 (&sums)[2]) {
    alignas(32) float rows[kRows] = {};
    const float* out = tile.out + t * tile.out_stride;
    for (int r = 0; r < tile.rows && !tile.first; ++r) rows[r] = out[r];
    sums[0] = _mm256_load_ps(rows);
    sums[1] = _mm256_load_ps(rows + 8);
  }
  static void store_rows(const __m256 (&sums)[2], const PanelTile& tile, int64_t t) {
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

constexpr LinearImpl kImpls[] = {{.name = "avx2_f8x32",
                                  .layout = "f8x32r16",
                                  .needs = kIsaAvx2,
                                  .panel_rows = Kernel::kRows,
                                  .supports = Kernel::supports,
                                  .packed_bytes = Kernel::packed_bytes,
                                  .pack = Kernel::pack,
                                  .prepared_bytes = prepared_bytes,
                                  .prepare = prepare,
                                  .run = Kernel::run,
                                  .read_row = Kernel::read_row,
                                  .cost = panel_cost<Kernel>}};

}  // namespace

const LinearImplSpan kLinearAvx2Fp8 = {kImpls, 1};

}  // namespace tern
