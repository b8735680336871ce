#include <immintrin.h>

#include "kernels/isa.h"
#include "kernels/limits/limits_impl.h"
#include "kernels/prefetch.h"

namespace tern {
namespace {

// Twelve chains of the sixteen registers: latency x throughput of a fused multiply-add is 10 at most.
constexpr double kChains = 12;

template <typename Vector, typename Step>
[[gnu::always_inline]] inline void twelve_chains(int64_t iterations, Vector zero, Step step) {
  Vector a = zero, b = zero, c = zero, d = zero, e = zero, f = zero;
  Vector g = zero, h = zero, i = zero, j = zero, k = zero, l = zero;
  for (int64_t n = 0; n < iterations; ++n) {
    a = step(a), b = step(b), c = step(c), d = step(d), e = step(e), f = step(f);
    g = step(g), h = step(h), i = step(i), j = step(j), k = step(k), l = step(l);
    asm volatile("" : "+x"(a), "+x"(b), "+x"(c), "+x"(d), "+x"(e), "+x"(f));
    asm volatile("" : "+x"(g), "+x"(h), "+x"(i), "+x"(j), "+x"(k), "+x"(l));
  }
}

// What an int8 dot product takes without VNNI: pairs to int16, pairs of those to int32, the sum. `x` is hidden from the
// compiler every time, else it would multiply once and only add.
void int8_maddubs(int64_t iterations) {
  const __m256i w = _mm256_set1_epi8(3), ones = _mm256_set1_epi16(1);
  __m256i x = _mm256_set1_epi8(2);
  twelve_chains(iterations, _mm256_setzero_si256(), [&](__m256i sum) {
    asm volatile("" : "+x"(x));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), ones));
  });
}

void f32_fma(int64_t iterations) {
  const __m256 w = _mm256_set1_ps(0.5f);
  twelve_chains(iterations, _mm256_setzero_ps(), [&](__m256 sum) { return _mm256_fmadd_ps(sum, w, w); });
}

// kVectors loads a round; kAhead bytes are asked for before they are read.
template <int kVectors, int kAhead, void (*kPrefetch)(const void*)>
int64_t read(const std::byte* from, int64_t bytes) {
  __m256i sums[4] = {};
  for (int64_t i = 0; i < bytes; i += 32 * kVectors) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      if (kAhead > 0 && v % 2 == 0) kPrefetch(from + i + kAhead + 32 * v);
      sums[v % 4] = _mm256_add_epi64(
          sums[v % 4], _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i + static_cast<int64_t>(32) * v)));
    }
  }
  alignas(32) int64_t lanes[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes),
                     _mm256_add_epi64(_mm256_add_epi64(sums[0], sums[1]), _mm256_add_epi64(sums[2], sums[3])));
  return lanes[0] + lanes[1] + lanes[2] + lanes[3];
}

constexpr ReadLoop kReads[] = {
    {"avx2", kIsaAvx2, read<4, 0, prefetch_l1>},
    {"avx2_x16", kIsaAvx2, read<16, 0, prefetch_l1>},
    {"avx2_ahead4k", kIsaAvx2, read<8, 4096, prefetch_l1>},
    {"avx2_ahead8k_l2", kIsaAvx2, read<8, 8192, prefetch_l2>},
};

constexpr PeakLoop kPeaks[] = {
    {"avx2_maddubs", kIsaAvx2, Arithmetic::kInt8, kChains * 64, int8_maddubs},
    {"avx2_fma", kIsaAvx2, Arithmetic::kF32, kChains * 16, f32_fma},
};

}  // namespace

const LoopSpan<ReadLoop> kReadLoopsAvx2 = {kReads, 4};
const LoopSpan<PeakLoop> kPeakLoopsAvx2 = {kPeaks, 2};

}  // namespace tern
