#include <immintrin.h>

#include "limits.h"

namespace tern::bench {
namespace {

// Twelve independent chains: more than latency x throughput of any of the three instructions.
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

template <bool kAhead>
[[gnu::always_inline]] inline int64_t read_lines(const std::byte* from, int64_t bytes) {
  __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
  for (int64_t i = 0; i < bytes; i += 256) {
    for (int line = 0; kAhead && line < 256; line += 64) _mm_prefetch(from + i + 4096 + line, _MM_HINT_T0);
    a = _mm512_add_epi64(a, _mm512_loadu_si512(from + i));
    b = _mm512_add_epi64(b, _mm512_loadu_si512(from + i + 64));
    c = _mm512_add_epi64(c, _mm512_loadu_si512(from + i + 128));
    d = _mm512_add_epi64(d, _mm512_loadu_si512(from + i + 192));
  }
  return _mm512_reduce_add_epi64(_mm512_add_epi64(_mm512_add_epi64(a, b), _mm512_add_epi64(c, d)));
}

}  // namespace

double int8_dot_loop(int64_t iterations) {
  const __m512i w = _mm512_set1_epi8(3), x = _mm512_set1_epi8(2);
  twelve_chains(iterations, _mm512_setzero_si512(), [&](__m512i sum) { return _mm512_dpbusd_epi32(sum, w, x); });
  return 12.0 * 128 * static_cast<double>(iterations);
}

double bf16_dot_loop(int64_t iterations) {
  const __m512bh w = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1), _mm512_set1_ps(1));
  twelve_chains(iterations, _mm512_setzero_ps(), [&](__m512 sum) { return _mm512_dpbf16_ps(sum, w, w); });
  return 12.0 * 64 * static_cast<double>(iterations);
}

double f32_fma_loop(int64_t iterations) {
  const __m512 w = _mm512_set1_ps(0.5f);
  twelve_chains(iterations, _mm512_setzero_ps(), [&](__m512 sum) { return _mm512_fmadd_ps(sum, w, w); });
  return 12.0 * 32 * static_cast<double>(iterations);
}

int64_t read_loop(const std::byte* from, int64_t bytes) { return read_lines<false>(from, bytes); }
int64_t read_ahead_loop(const std::byte* from, int64_t bytes) { return read_lines<true>(from, bytes); }

}  // namespace tern::bench
