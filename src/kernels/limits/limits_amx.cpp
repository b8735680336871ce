#include "kernels/isa.h"
#include "kernels/limits/limits_impl.h"
#include "kernels/tiles_amx.h"

namespace tern {
namespace {

// Products of full tiles, 16 x 16 sums, on registers alone. An iteration is one product; a round is four onto sums of
// their own, 64 cycles, more than the latency of one (52).
template <typename Round>
[[gnu::always_inline]] inline void rounds_of_four(int64_t iterations, Round round) {
  TileShapes shapes;
  for (int tile = 0; tile < 8; ++tile) shapes.set(tile, 16, 64);
  configure_tiles(shapes);
  for (int64_t n = 0; n < iterations; n += 4) round();
  release_tiles();
}

void int8_tiles(int64_t iterations) {
  rounds_of_four(iterations, [] {
    add_products_ss<0, 4, 6>();
    add_products_ss<1, 5, 6>();
    add_products_ss<2, 4, 7>();
    add_products_ss<3, 5, 7>();
  });
}

void bf16_tiles(int64_t iterations) {
  rounds_of_four(iterations, [] {
    add_products_bf16<0, 4, 6>();
    add_products_bf16<1, 5, 6>();
    add_products_bf16<2, 4, 7>();
    add_products_bf16<3, 5, 7>();
  });
}

constexpr double kSums = 16 * 16;

constexpr PeakLoop kPeaks[] = {
    {"amx_int8", kIsaAmxInt8, Arithmetic::kInt8Tile, kSums * 2 * 64, int8_tiles},
    {"amx_bf16", kIsaAmxBf16, Arithmetic::kBf16Tile, kSums * 2 * 32, bf16_tiles},
};

}  // namespace

const LoopSpan<PeakLoop> kPeakLoopsAmx = {kPeaks, 2};

}  // namespace tern
