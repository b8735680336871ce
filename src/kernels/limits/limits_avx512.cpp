#include <immintrin.h>

#include "kernels/isa.h"
#include "kernels/limits/limits_impl.h"
#include "kernels/prefetch.h"

namespace tern {
namespace {

// Twelve independent chains: more than latency x throughput of any of the three instructions.
constexpr double kChains = 12;

template <typename Vector, typename Step>
[[gnu::always_inline]] inline void twelve_chains(int64_t iterations, Vector zero, Step step) {
  Vector a = zero, b = zero, c = zero, d = zero, e = zero, f = zero;
  Vector g = zero, h = zero, i = zero, j = zero, k = zero, l = zero;
  for (int64_t n = 0; n < iterations; ++n) {
    a = step(a), b = step(b), c = step(c), d = step(d), e = step(e), f = step(f);
    g = step(g), h = step(h), i = step(i), j = step(j), k = step(k), l = step(l);
    asm volatile("" : "+v"(a), "+v"(b), "+v"(c), "+v"(d), "+v"(e), "+v"(f));
    asm volatile("" : "+v"(g), "+v"(h), "+v"(i), "+v"(j), "+v"(k), "+v"(l));
  }
}

void int8_dot(int64_t iterations) {
  const __m512i w = _mm512_set1_epi8(3), x = _mm512_set1_epi8(2);
  twelve_chains(iterations, _mm512_setzero_si512(), [&](__m512i sum) { return _mm512_dpbusd_epi32(sum, w, x); });
}

void bf16_dot(int64_t iterations) {
  const __m512bh w = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1), _mm512_set1_ps(1));
  twelve_chains(iterations, _mm512_setzero_ps(), [&](__m512 sum) { return _mm512_dpbf16_ps(sum, w, w); });
}

void f32_fma(int64_t iterations) {
  const __m512 w = _mm512_set1_ps(0.5f);
  twelve_chains(iterations, _mm512_setzero_ps(), [&](__m512 sum) { return _mm512_fmadd_ps(sum, w, w); });
}

// kVectors loads a round, kStreams equal parts of the memory at once; kAhead bytes are asked for before they are read.
template <int kVectors, int kStreams, int kAhead, void (*kPrefetch)(const void*)>
int64_t read(const std::byte* from, int64_t bytes) {
  __m512i sums[4] = {};
  const int64_t part = bytes / kStreams;
  for (int64_t i = 0; i < part; i += 64 * kVectors) {
#pragma GCC unroll 2
    for (int s = 0; s < kStreams; ++s) {
      const std::byte* at = from + s * part + i;
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) {
        if (kAhead > 0) kPrefetch(at + kAhead + 64 * v);
        sums[v % 4] = _mm512_add_epi64(sums[v % 4], _mm512_loadu_si512(at + 64 * v));
      }
    }
  }
  return _mm512_reduce_add_epi64(
      _mm512_add_epi64(_mm512_add_epi64(sums[0], sums[1]), _mm512_add_epi64(sums[2], sums[3])));
}

constexpr uint32_t kNeeds = kIsaAvx2 | kIsaAvx512;

constexpr ReadLoop kReads[] = {
    {"avx512", kNeeds, read<4, 1, 0, prefetch_l1>},
    {"avx512_x16", kNeeds, read<16, 1, 0, prefetch_l1>},
    {"avx512_2streams", kNeeds, read<4, 2, 0, prefetch_l1>},
    {"avx512_ahead2k", kNeeds, read<4, 1, 2048, prefetch_l1>},
    {"avx512_ahead4k", kNeeds, read<4, 1, 4096, prefetch_l1>},
    {"avx512_ahead8k_l2", kNeeds, read<4, 1, 8192, prefetch_l2>},
};

constexpr PeakLoop kPeaks[] = {
    {"avx512_vnni", kNeeds | kIsaAvx512Vnni, Arithmetic::kInt8, kChains * 128, int8_dot},
    {"avx512_bf16", kNeeds | kIsaAvx512Bf16, Arithmetic::kBf16, kChains * 64, bf16_dot},
    {"avx512_fma", kNeeds, Arithmetic::kF32, kChains * 32, f32_fma},
};

}  // namespace

const LoopSpan<ReadLoop> kReadLoopsAvx512 = {kReads, 6};
const LoopSpan<PeakLoop> kPeakLoopsAvx512 = {kPeaks, 3};

}  // namespace tern
