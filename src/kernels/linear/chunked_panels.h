// Panels of 16 weight rows in chunks of k, and the loops over them, for the AVX-512 kernels whose panels may be long.
//
// A matrix is cut into chunks of k, a chunk into panels, a panel into units of K::kUnitCols columns, all contiguous in
// this order; so a worker's range of panels is one stream a chunk. Within a chunk the activations of a tile of tokens
// stay in the first-level cache while panel after panel passes. The sums of a tile wait between chunks in `out`, where
// an f32 keeps all its bits: what is added to what depends on cols alone.
//
// K: kUnitCols, kBytes (of a packed unit of one panel), kPrepared (of one token's activations for a unit). Pure; any
// thread, over its own panels. ISA files include this: everything has internal linkage.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/linear/linear_impl.h"
#include "kernels/linear/look_ahead.h"

namespace tern {
namespace {

constexpr int kPanelRows = 16;
// Tokens a tile. Integer kernels reach their peak from 6 on (8 dot products a block against one multiplication and one
// or two fused ones: 8/10 or 8/11 of it); 8 keeps sums and codes in 32 registers, the tokens' addresses in 16.
constexpr int kTile = 8;
// As many tokens are still one tile, which unpacks the codes once, where the kernel has such an entry: 14 integer and
// 14 float sums leave 4 registers.
constexpr int kWideTile = 14;
// What a chunk of one panel and of kTile tokens may take of the 32 KiB first-level cache. Beyond it every tile fetches
// its activations from L2 while the weights' misses hold the fill buffers: 1.5 times slower at 2 to 4 tokens.
constexpr int64_t kChunkBytes = 24 * 1024;
// Bytes of prepared activations of a chunk that stay in L2 (1 MiB on Zen 4) while all panels pass by.
constexpr int64_t kTokenChunkBytes = 384 * 1024;
// From so many tokens on kernels ask for weights themselves: for the next panel's chunk, all tiles of a panel together,
// since memory would rest while all but the first compute; and a tile of 7 or 8 alone, whose arithmetic fills the
// reorder buffer so that loads do not run ahead far enough. With fewer tokens the hardware's prefetcher does better
// alone on AMD (Zen 5, Q8_0 from memory, 2 to 6 tokens: 1.2 to 1.4 times); on Intel it does not: LinearJob::look_ahead.
constexpr int kPrefetchTokens = 7;
// The smallest tile of those: 9 tokens are 4 and 5.
constexpr int kLookAheadTile = 4;

inline int64_t panels_of(int64_t rows) { return (rows + kPanelRows - 1) / kPanelRows; }

// One panel and one chunk of k.
struct TileArgs {
  const std::byte* weights;
  int64_t units;
  const std::byte* prepared;  // of the first token, from the chunk's first unit on
  int64_t prepared_stride;
  float* out;  // [tokens, out_stride]
  int64_t out_stride;
  uint16_t rows;      // a bit for each row that exists
  bool first, last;   // chunk: sums begin at zero; the bias is added
  const float* bias;  // [rows] or null
  LookAhead ahead;
};

// [T - 1] of an array does T tokens; `most` is its length, kTile or kWideTile.
using TileFunction = void (*)(const TileArgs&);

// The chunks of a matrix, of nearly equal length.
template <typename K>
struct Chunks {
  explicit Chunks(const LinearDesc& desc) : units(units_of(desc.cols)), panels(panels_of(desc.rows)) {
    constexpr int64_t kMostUnits = kChunkBytes / (K::kBytes + kTile * K::kPrepared);
    count = (units + kMostUnits - 1) / kMostUnits;
  }
  static int64_t units_of(int64_t cols) { return (cols + K::kUnitCols - 1) / K::kUnitCols; }
  int64_t first_unit(int64_t chunk) const { return units * chunk / count; }
  // Where the chunk of `panel` begins in the packed matrix.
  int64_t offset(int64_t panel, int64_t chunk) const {
    const int64_t first = first_unit(chunk);
    return (first * panels + (first_unit(chunk + 1) - first) * panel) * K::kBytes;
  }
  // visit(unit, byte offset in the packed matrix) for the units of `panel` in order.
  template <typename Visit>
  void each_unit(int64_t panel, Visit visit) const {
    for (int64_t chunk = 0; chunk < count; ++chunk) {
      int64_t at = offset(panel, chunk);
      for (int64_t unit = first_unit(chunk); unit < first_unit(chunk + 1); ++unit, at += K::kBytes) visit(unit, at);
    }
  }
  uint64_t bytes() const { return static_cast<uint64_t>(units * panels) * K::kBytes; }
  int64_t units, panels, count;
};

// The tokens [begin, end) for one panel and one chunk, in tiles of nearly equal size, so that none is left with one.
inline void run_tiles(const LinearJob& job, TileArgs& args, const TileFunction* functions, int64_t most, int64_t begin,
                      int64_t end) {
  const int64_t tiles = end - begin <= most ? 1 : (end - begin + kTile - 1) / kTile;
  const std::byte* prepared = args.prepared;
  float* out = args.out;
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t from = begin + (end - begin) * i / tiles;
    const int64_t to = begin + (end - begin) * (i + 1) / tiles;
    args.prepared = prepared + from * job.prepared_stride;
    args.out = out + from * job.out_stride;
    args.ahead.skip = i;
    args.ahead.every = tiles;
    functions[to - from - 1](args);
  }
}

// All tokens of the job for the panels [begin, end).
template <typename K>
inline void run_panels(const LinearJob& job, const TileFunction* functions, int64_t most, int64_t begin, int64_t end) {
  const Chunks<K> chunks(job.desc);
  const int64_t fitting = kTokenChunkBytes / ((chunks.units + chunks.count - 1) / chunks.count * K::kPrepared);
  const int64_t most_tokens = fitting < most ? most : fitting / kTile * kTile;
  for (int64_t token = 0; token < job.tokens; token += most_tokens) {
    const int64_t token_end = token + most_tokens < job.tokens ? token + most_tokens : job.tokens;
    for (int64_t chunk = 0; chunk < chunks.count; ++chunk) {
      const int64_t unit = chunks.first_unit(chunk);
      const int64_t units = chunks.first_unit(chunk + 1) - unit;
      const bool ahead = job.look_ahead || token_end - token >= kPrefetchTokens;
      const int64_t distance = ahead ? units * K::kBytes : 0;
      for (int64_t panel = begin; panel < end; ++panel) {
        const int64_t row = panel * kPanelRows;
        const int64_t rows_left = job.desc.rows - row;
        const std::byte* weights = job.weights + chunks.offset(panel, chunk);
        // Changed in place: a copy by vector would wait for these stores to retire, and so for all loads before them.
        TileArgs args{
            .weights = weights,
            .units = units,
            .prepared = job.prepared + unit * K::kPrepared,
            .prepared_stride = job.prepared_stride,
            .out = job.out + row,
            .out_stride = job.out_stride,
            .rows = static_cast<uint16_t>(rows_left >= kPanelRows ? 0xffff : (1 << rows_left) - 1),
            .first = chunk == 0,
            .last = chunk + 1 == chunks.count,
            .bias = job.bias == nullptr ? nullptr : job.bias + row,
            .ahead = {.at = distance == 0 ? nullptr : reinterpret_cast<const uint8_t*>(weights) + distance,
                      .step = K::kBytes,
                      .skip = 0,
                      .every = 1},
        };
        run_tiles(job, args, functions, most, token, token_end);
      }
    }
  }
}

// Weights of `weight_bits` once, f32 activations in and out.
inline Cost panel_cost(const LinearDesc& desc, int64_t tokens, double weight_bits, Arithmetic arithmetic) {
  const double weights = static_cast<double>(desc.rows) * static_cast<double>(desc.cols);
  return {.bytes = weights * weight_bits / 8 + static_cast<double>(tokens * (desc.rows + desc.cols)) * 4,
          .ops = 2 * weights * static_cast<double>(tokens),
          .arithmetic = arithmetic};
}

}  // namespace
}  // namespace tern
