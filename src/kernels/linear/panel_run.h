// The loop nest that the panel implementations share: groups of tokens whose prepared rows stay in the L2 cache, inside
// a group chunks of k of which a tile's activations stay in L1, inside a chunk the weight panels, inside a panel tiles
// of 1 to K::kTile tokens. Pure; any thread, over its own panels.
//
// K gives kRows (weight rows a panel), kTile, kUnitCols (columns that are never cut), kPrepared (bytes of one token's
// activations for a unit), panel_bytes(cols), heads_bytes(cols), kHeadBytes and kCodeBytes (of a unit; no heads: 0) and
// tile<T>(PanelTile). Bits never depend on the tile: tile<T> does for each token what tile<1> does, and between chunks
// the sums wait in `out`, where an f32 keeps all its bits. ISA files include this: everything has internal linkage.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/linear/linear_impl.h"
#include "kernels/linear/look_ahead.h"

namespace tern {
namespace {

// One panel and one chunk of k times T tokens.
struct PanelTile {
  const uint8_t* panel;     // its first byte, whatever the chunk
  int64_t cols;             // of the matrix
  int64_t begin, end;       // the chunk's units
  const uint8_t* prepared;  // [T] rows of `prepared_stride` bytes, from the chunk's first unit on
  int64_t prepared_stride;
  float* out;  // [T, out_stride], columns 0..rows are written
  int64_t out_stride;
  const float* bias;  // [rows] or null
  int rows;           // 1..K::kRows, less only in the matrix' last panel
  bool first, last;   // chunk: sums begin at zero; the bias is added
  LookAhead ahead;
};

// Prepared rows of a group of tokens: they stay in the smallest L2 cache worth caring about (1 MiB; Zen 4) beside the
// panels that pass.
constexpr int64_t kGroupBytes = 384 * 1024;
// Activations of a tile in a chunk: they stay in an L1 cache of 32 KiB while panel after panel passes by. Longer rows
// are cut for tiles of two tokens and more; measured at 14,336 columns of Q4_K, 8 tokens: 2 times faster.
constexpr int64_t kTileBytes = 24 * 1024;
// How far ahead of use a single tile asks for weights that pass as one stream. The processor's own prefetchers stop at
// every 4 KiB page and follow heads and codes as two streams; panels lie one after the other, so one steady walk covers
// both; it begins beyond the codes in use, not beyond the heads. 8 KiB at 27 GB/s are 300 ns, twice DRAM's latency
// (measured on Zen 4, Q4_K, 1 token: 93 % of the read bandwidth; asking for L1 75 %; none 70 %).
constexpr int64_t kPrefetchBytes = 8192;

// As many tokens are still one tile, which unpacks the codes once: kWideTile of a kernel that has such entries.
template <class K>
constexpr int64_t wide_tile() {
  if constexpr (requires { K::kWideTile; }) return K::kWideTile;
  return K::kTile;
}

template <class K, int T>
inline void run_tile(int64_t tokens, const PanelTile& tile) {
  if constexpr (T > 1) {
    if (tokens < T) return run_tile<K, T - 1>(tokens, tile);
  }
  K::template tile<T>(tile);
}

// Tokens [begin, end) of the job for one panel and one chunk, in tiles of nearly equal size: 9 tokens are 5 + 4, not
// 8 + 1. `tile` is complete but for what depends on tokens.
template <class K>
inline void run_tiles(const LinearJob& job, PanelTile tile, int64_t begin, int64_t end) {
  const int64_t tiles = end - begin <= wide_tile<K>() ? 1 : (end - begin + K::kTile - 1) / K::kTile;
  const uint8_t* prepared = tile.prepared;
  float* out = tile.out;
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t from = begin + (end - begin) * i / tiles;
    tile.prepared = prepared + from * job.prepared_stride;
    tile.out = out + from * job.out_stride;
    tile.ahead.skip = i;
    tile.ahead.every = tiles;
    run_tile<K, wide_tile<K>()>(begin + (end - begin) * (i + 1) / tiles - from, tile);
  }
}

// Where the tiles of a panel's chunk look. One stream: the rest of the panel and then the next one. Otherwise the next
// panel's same chunk, whose heads are asked for here.
template <class K>
inline LookAhead look_ahead(const PanelTile& tile, bool one_stream, int64_t panel_bytes) {
  const uint8_t* codes = tile.panel + K::heads_bytes(tile.cols);
  if (one_stream) return {codes + kPrefetchBytes, K::kHeadBytes + K::kCodeBytes, 0, 1};
  const uint8_t* next = tile.panel + panel_bytes;
  for (int64_t i = tile.begin * K::kHeadBytes; i < tile.end * K::kHeadBytes; i += 64) prefetch_l2(next + i);
  return {codes + panel_bytes + tile.begin * K::kCodeBytes, K::kCodeBytes, 0, 1};
}

template <class K>
inline void run_panels(const LinearJob& job, int64_t panel_begin, int64_t panel_end) {
  const auto panel_bytes = static_cast<int64_t>(K::panel_bytes(job.desc.cols));
  const int64_t units = (job.desc.cols + K::kUnitCols - 1) / K::kUnitCols;
  const int64_t tile_tokens = job.tokens <= wide_tile<K>() ? job.tokens : K::kTile;
  // One token reads a sixteenth or an eighth of what the panel has, and streams best uncut.
  const int64_t most_units = job.tokens == 1 ? units : kTileBytes / (tile_tokens * K::kPrepared);
  const int64_t chunks = (units + most_units - 1) / most_units;
  const int64_t fitting = kGroupBytes / ((units + chunks - 1) / chunks * K::kPrepared) / K::kTile * K::kTile;
  const int64_t group = fitting < wide_tile<K>() ? wide_tile<K>() : fitting;
  for (int64_t token = 0; token < job.tokens; token += group) {
    const int64_t token_end = token + group < job.tokens ? token + group : job.tokens;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      const int64_t begin = units * chunk / chunks;
      for (int64_t p = panel_begin; p < panel_end; ++p) {
        const int64_t row = p * K::kRows;
        const int64_t rows = job.desc.rows - row < K::kRows ? job.desc.rows - row : K::kRows;
        PanelTile tile{.panel = reinterpret_cast<const uint8_t*>(job.weights) + p * panel_bytes,
                       .cols = job.desc.cols,
                       .begin = begin,
                       .end = units * (chunk + 1) / chunks,
                       .prepared = reinterpret_cast<const uint8_t*>(job.prepared) + begin * K::kPrepared,
                       .prepared_stride = job.prepared_stride,
                       .out = job.out + row,
                       .out_stride = job.out_stride,
                       .bias = job.bias == nullptr ? nullptr : job.bias + row,
                       .rows = static_cast<int>(rows),
                       .first = chunk == 0,
                       .last = chunk + 1 == chunks,
                       .ahead = {}};
        tile.ahead = look_ahead<K>(tile, chunks == 1 && token_end - token <= wide_tile<K>(), panel_bytes);
        run_tiles<K>(job, tile, token, token_end);
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
          .ops = 2 * count * static_cast<double>(desc.rows) * static_cast<double>(desc.cols),
          .arithmetic = K::kArithmetic};
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

inline uint64_t round_up_64(uint64_t bytes) { return (bytes + 63) / 64 * 64; }

// Bytes between prepared rows: an odd number of 512, so that the tokens of a tile spread over the sets of the L1 cache,
// which 4096 bytes walk through once.
inline uint64_t prepared_row_bytes(uint64_t bytes) { return (bytes + 511) / 512 * 512 | 512; }

}  // namespace
}  // namespace tern
