// The loop nest that the panel implementations share: chunks of tokens whose prepared rows stay in the L2 cache, inside
// a chunk the weight panels, inside a panel tiles of 1 to K::kTile tokens. Pure; any thread, over its own panels.
//
// K gives kRows (weight rows a panel), kTile, panel_bytes(cols) and tile<T>(PanelTile). Bits never depend on the tile:
// tile<T> does for each token what tile<1> does. ISA files include this, so everything here has internal linkage.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/linear/linear_impl.h"

namespace tern {
namespace {

// One panel times T tokens.
struct PanelTile {
  const uint8_t* panel;
  int64_t cols;
  const uint8_t* prepared;  // [T] rows of `prepared_stride` bytes
  int64_t prepared_stride;
  float* out;  // [T, out_stride], columns 0..rows are written
  int64_t out_stride;
  const float* bias;  // [rows] or null
  int rows;           // 1..K::kRows, less only in the matrix' last panel
};

// Prepared rows of a chunk: a quarter of the smallest L2 cache worth caring about (1 MiB; Zen 4), so that they stay
// there beside the panel (16 rows x 8192 columns of 4-bit codes are 72 KiB) and what the prefetchers bring.
constexpr int64_t kChunkBytes = 256 * 1024;

template <class K, int T>
inline void run_tile(int64_t tokens, const PanelTile& tile) {
  if constexpr (T > 1) {
    if (tokens < T) return run_tile<K, T - 1>(tokens, tile);
  }
  K::template tile<T>(tile);
}

template <class K>
inline void run_panels(const LinearJob& job, int64_t panel_begin, int64_t panel_end) {
  const int64_t panel_bytes = static_cast<int64_t>(K::panel_bytes(job.desc.cols));
  int64_t chunk = kChunkBytes / job.prepared_stride / K::kTile * K::kTile;
  if (chunk < K::kTile) chunk = K::kTile;
  for (int64_t first = 0; first < job.tokens; first += chunk) {
    const int64_t last = first + chunk < job.tokens ? first + chunk : job.tokens;
    for (int64_t p = panel_begin; p < panel_end; ++p) {
      const int64_t row = p * K::kRows;
      const int64_t rows = job.desc.rows - row < K::kRows ? job.desc.rows - row : K::kRows;
      for (int64_t t = first; t < last;) {  // tiles of nearly equal size: 9 tokens are 5 + 4, not 8 + 1
        const int64_t tiles = (last - t + K::kTile - 1) / K::kTile;
        const int64_t tokens = (last - t + tiles - 1) / tiles;
        run_tile<K, K::kTile>(
            tokens, PanelTile{.panel = reinterpret_cast<const uint8_t*>(job.weights) + p * panel_bytes,
                              .cols = job.desc.cols,
                              .prepared = reinterpret_cast<const uint8_t*>(job.prepared) + t * job.prepared_stride,
                              .prepared_stride = job.prepared_stride,
                              .out = job.out + t * job.out_stride + row,
                              .out_stride = job.out_stride,
                              .bias = job.bias == nullptr ? nullptr : job.bias + row,
                              .rows = static_cast<int>(rows)});
        t += tokens;
      }
    }
  }
}

template <class K>
inline int64_t panels_of(const LinearDesc& desc) {
  return (desc.rows + K::kRows - 1) / K::kRows;
}

// What a panel implementation moves and computes: packed weights once, f32 activations in and out.
template <class K>
inline Cost panel_cost(const LinearDesc& desc, int64_t tokens) {
  const double panels = static_cast<double>(panels_of<K>(desc));
  const double count = static_cast<double>(tokens);
  return {.bytes = panels * static_cast<double>(K::panel_bytes(desc.cols)) +
                   count * static_cast<double>(desc.rows + desc.cols) * 4,
          .ops = 2 * count * static_cast<double>(desc.rows) * static_cast<double>(desc.cols)};
}

inline uint32_t load_u32(const uint8_t* bytes) {
  uint32_t value;
  __builtin_memcpy(&value, bytes, sizeof value);
  return value;
}

inline uint64_t load_u64(const uint8_t* bytes) {
  uint64_t value;
  __builtin_memcpy(&value, bytes, sizeof value);
  return value;
}

inline void store_u64(uint8_t* bytes, uint64_t value) { __builtin_memcpy(bytes, &value, sizeof value); }

inline void store_u32(uint8_t* bytes, uint32_t value) { __builtin_memcpy(bytes, &value, sizeof value); }

// Asks for kBytes of a matrix, kPrefetchBytes after `at`: what a step of a panel's loop consumes. The processor's own
// prefetchers stop at every 4 KiB page and follow heads and codes as two streams; panels lie one after the other, so
// one steady walk covers both. 8 KiB at 27 GB/s are 300 ns, twice DRAM's latency. Into L2: asking for L1 would keep its
// few miss buffers from the loads (measured on Zen 4, Q4_K, 1 token: 93 % of the read bandwidth against 75 %; none: 70
// %). Past the end of the matrix it is harmless: a prefetch never faults.
constexpr int kPrefetchBytes = 8192;

template <int kBytes>
inline void prefetch_ahead(const uint8_t* at) {
#pragma GCC unroll 64
  for (int i = 0; i < kBytes; i += 64) __builtin_prefetch(at + kPrefetchBytes + i, 0, 2);
}

inline uint64_t round_up_64(uint64_t bytes) { return (bytes + 63) / 64 * 64; }

// Bytes between prepared rows. A multiple of 4096 would put all tokens of a tile into one set of the L1 cache.
inline uint64_t prepared_row_bytes(uint64_t bytes) {
  const uint64_t rounded = round_up_64(bytes);
  return rounded % 4096 == 0 ? rounded + 64 : rounded;
}

}  // namespace
}  // namespace tern
