// The eight tile registers of AMX: at most 16 rows of 64 bytes each, shaped by a configuration that a thread loads. In
// assembly, since the compiler's intrinsics take register numbers as tokens and not as template arguments.
//
// A product c += a * b has a: tokens x k, one row a token; b: k / 4 (bytes) or k / 2 (bf16) rows of 16 columns with 4
// or 2 consecutive k each, which is how weights lie in panels of 16 rows; c: tokens x 16.
// Included by *_amx.cpp only; everything is local to the including file. A thread's tiles are its own; loading a
// configuration sets them to zero. Without release_tiles() the kernel saves 8 KiB at every switch of threads.
#pragma once

#include <cstddef>
#include <cstdint>

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
static_assert(sizeof(TileShapes) == 64);

#define TERN_TILE [[gnu::always_inline]] inline

TERN_TILE void configure_tiles(const TileShapes& shapes) { asm volatile("ldtilecfg %0" ::"m"(shapes)); }
TERN_TILE void release_tiles() { asm volatile("tilerelease"); }

template <int kTile>
TERN_TILE void zero_tile() {
  asm volatile("tilezero %%tmm%c0" ::"i"(kTile));
}
template <int kTile>
TERN_TILE void load_tile(const void* from, int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(kTile) : "memory");
}
template <int kTile>
TERN_TILE void store_tile(void* to, int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(kTile) : "memory");
}
// c += a * b of signed a and signed b, in int32.
template <int kC, int kA, int kB>
TERN_TILE void add_products_ss() {
  asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kC), "i"(kA), "i"(kB));
}
// c += a * b of signed a and unsigned b, in int32.
template <int kC, int kA, int kB>
TERN_TILE void add_products_su() {
  asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kC), "i"(kA), "i"(kB));
}
// c += a * b of bf16, in f32: even and odd k summed apart over the tile, then together, then onto c.
template <int kC, int kA, int kB>
TERN_TILE void add_products_bf16() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kC), "i"(kA), "i"(kB));
}

#undef TERN_TILE

}  // namespace
}  // namespace tern
