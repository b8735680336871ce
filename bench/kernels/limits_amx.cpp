#include "kernels/tiles_amx.h"
#include "limits.h"

namespace tern::bench {
namespace {

void configure_full() {
  TileShapes shapes;
  for (int i = 0; i < 8; ++i) shapes.set(i, 16, 64);
  configure_tiles(shapes);
}

}  // namespace

double int8_tile_loop(int64_t iterations) {
  configure_full();
  for (int64_t n = 0; n < iterations; ++n) {
    add_products_ss<0, 4, 6>();
    add_products_ss<1, 5, 6>();
    add_products_ss<2, 4, 7>();
    add_products_ss<3, 5, 7>();
  }
  release_tiles();
  return 4.0 * 2 * 16 * 16 * 64 * static_cast<double>(iterations);
}

double bf16_tile_loop(int64_t iterations) {
  configure_full();
  for (int64_t n = 0; n < iterations; ++n) {
    add_products_bf16<0, 4, 6>();
    add_products_bf16<1, 5, 6>();
    add_products_bf16<2, 4, 7>();
    add_products_bf16<3, 5, 7>();
  }
  release_tiles();
  return 4.0 * 2 * 16 * 16 * 32 * static_cast<double>(iterations);
}

}  // namespace tern::bench
