// The tile registers of AMX in software, in place of src/kernels/tiles_amx.h: so every processor with AVX-512 tests the
// AMX kernels but for the instructions themselves. Shapes that the processor would refuse end the test.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace tern {
namespace {

struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  constexpr void set(int tile, int64_t row_count, int bytes) {
    rows[tile] = static_cast<uint8_t>(row_count);
    row_bytes[tile] = static_cast<uint16_t>(bytes);
  }
};

struct TileRegister {
  int rows, row_bytes;
  uint8_t bytes[16][64];
};
thread_local TileRegister g_tiles[8];
thread_local int64_t g_operations;  // multiplications and additions of all products so far

inline void must(bool condition) {
  if (!condition) std::abort();
}

inline void configure_tiles(const TileShapes& shapes) {
  for (int i = 0; i < 8; ++i) {
    must(shapes.rows[i] <= 16 && shapes.row_bytes[i] <= 64 && (shapes.rows[i] == 0) == (shapes.row_bytes[i] == 0));
    g_tiles[i] = {shapes.rows[i], shapes.row_bytes[i], {}};
  }
}
inline void release_tiles() {
  for (TileRegister& tile : g_tiles) tile = {};
}

template <int kTile>
void zero_tile() {
  must(g_tiles[kTile].rows > 0);
  __builtin_memset(g_tiles[kTile].bytes, 0, sizeof(g_tiles[kTile].bytes));
}
template <int kTile>
void load_tile(const void* from, int64_t stride) {
  TileRegister& tile = g_tiles[kTile];
  must(tile.rows > 0);
  for (int r = 0; r < tile.rows; ++r) {
    __builtin_memcpy(tile.bytes[r], static_cast<const uint8_t*>(from) + r * stride,
                     static_cast<size_t>(tile.row_bytes));
  }
}
template <int kTile>
void store_tile(void* to, int64_t stride) {
  const TileRegister& tile = g_tiles[kTile];
  must(tile.rows > 0);
  for (int r = 0; r < tile.rows; ++r) {
    __builtin_memcpy(static_cast<uint8_t*>(to) + r * stride, tile.bytes[r], static_cast<size_t>(tile.row_bytes));
  }
}

inline void must_fit(const TileRegister& c, const TileRegister& a, const TileRegister& b) {
  must(c.rows > 0 && c.rows == a.rows && c.row_bytes == b.row_bytes && a.row_bytes == 4 * b.rows && c.row_bytes == 64);
}

// Of a product whose k are so many bytes wide.
inline void count_operations(const TileRegister& c, const TileRegister& a, int k_bytes) {
  g_operations += int64_t{2} * c.rows * (c.row_bytes / 4) * (a.row_bytes / k_bytes);
}

template <typename B>
void add_products(TileRegister& c, const TileRegister& a, const TileRegister& b) {
  must_fit(c, a, b);
  count_operations(c, a, 1);
  for (int m = 0; m < c.rows; ++m) {
    int32_t sums[16];
    __builtin_memcpy(sums, c.bytes[m], sizeof(sums));
    for (int k = 0; k < b.rows; ++k) {
      const auto* x = reinterpret_cast<const int8_t*>(a.bytes[m]) + 4 * k;
      const auto* w = reinterpret_cast<const B*>(b.bytes[k]);
      for (int n = 0; n < 16; ++n) {
        for (int i = 0; i < 4; ++i) sums[n] += x[i] * w[4 * n + i];
      }
    }
    __builtin_memcpy(c.bytes[m], sums, sizeof(sums));
  }
}
template <int kC, int kA, int kB>
void add_products_ss() {
  add_products<int8_t>(g_tiles[kC], g_tiles[kA], g_tiles[kB]);
}
template <int kC, int kA, int kB>
void add_products_su() {
  add_products<uint8_t>(g_tiles[kC], g_tiles[kA], g_tiles[kB]);
}

inline float bf16_at(const uint8_t* from) {
  uint16_t half;
  __builtin_memcpy(&half, from, sizeof(half));
  const uint32_t bits = static_cast<uint32_t>(half) << 16;
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}
template <int kC, int kA, int kB>
void add_products_bf16() {
  TileRegister& c = g_tiles[kC];
  const TileRegister &a = g_tiles[kA], &b = g_tiles[kB];
  must_fit(c, a, b);
  count_operations(c, a, 2);
  for (int m = 0; m < c.rows; ++m) {
    float even[16] = {}, odd[16] = {}, sums[16];
    for (int k = 0; k < b.rows; ++k) {
      const float x0 = bf16_at(a.bytes[m] + 4 * k), x1 = bf16_at(a.bytes[m] + 4 * k + 2);
      for (int n = 0; n < 16; ++n) {
        even[n] = __builtin_fmaf(x0, bf16_at(b.bytes[k] + 4 * n), even[n]);
        odd[n] = __builtin_fmaf(x1, bf16_at(b.bytes[k] + 4 * n + 2), odd[n]);
      }
    }
    __builtin_memcpy(sums, c.bytes[m], sizeof(sums));
    for (int n = 0; n < 16; ++n) sums[n] += even[n] + odd[n];
    __builtin_memcpy(c.bytes[m], sums, sizeof(sums));
  }
}

}  // namespace
}  // namespace tern
