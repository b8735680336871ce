// The attention family on tiles, over f16 and bf16 caches: Q K and weights V as bf16 products with f32 sums, which an
// instruction does for 16 rows, 16 columns and 32 terms at once.
//
// As attention_bf16_avx512.h, but in groups of 32 rows: each goes through a chunk's 64-key tiles, whose keys and values
// the first one copies in tile order for all of the block (attention_pack_amx.h), and in each through scores, weights
// (attention_weights_amx.h) and values. What a group needs meanwhile, 24 KiB at head dimension 64 and 16 KiB of keys
// and values, fits into the first-level cache. Row counts from one on take the same way. A row of a tile product sums
// over its own 32 terms, then onto what it has, and steps of 32 keys and dimensions lie at absolute positions, so a
// row's bits do not depend on the rows beside it, nor on which tiles others need: weights of 0 add nothing.
#include <immintrin.h>

#include "kernels/attention/attention_impl.h"
#include "kernels/attention/attention_products_amx.h"
#include "kernels/attention/attention_weights_amx.h"
#include "kernels/isa.h"

namespace tern {
namespace {

// Rows a block. Copying a chunk costs about 20 rows' products and softmax (head dimension 64, f16), and all blocks of a
// prompt read the whole cache: 192 rows ask the last cache for 3 GB/s a core where 48 would ask for 10.
constexpr int64_t kBlockRows = 192;
constexpr int64_t kLoadRows = 20;

struct Scratch {
  uint32_t* keys;    // [kChunkTiles], as PackedTile has them
  uint32_t* values;  // [kChunkTiles]
  GroupScratch group;
  float* lanes;  // [kGroupRows, 16] of RowTile
  uint32_t* q;   // [kBlockRows, padded_dim / 2], times scale
};

constexpr int64_t kChunkTiles = kAttentionChunk / kAttentionTile;

uint64_t scratch_bytes(const AttentionDesc& desc) {
  const uint64_t dim = static_cast<uint64_t>(desc.head_dim), padded = static_cast<uint64_t>(padded_dim(desc.head_dim));
  return 4 *
         (kAttentionChunk / 2 * (padded + dim) + 2 * (kScores + kWeights) + kGroupRows * 16 + kBlockRows * padded / 2);
}

Scratch scratch_of(const AttentionBlock& block) {
  const int64_t dim = block.desc.head_dim, padded = padded_dim(dim);
  Scratch s;
  s.keys = reinterpret_cast<uint32_t*>(block.scratch);
  s.values = s.keys + kAttentionChunk / 2 * padded;
  s.group.scores = reinterpret_cast<float*>(s.values + kAttentionChunk / 2 * dim);
  s.group.weights = reinterpret_cast<uint32_t*>(s.group.scores + 2 * kScores);
  s.lanes = reinterpret_cast<float*>(s.group.weights + 2 * kWeights);
  s.q = s.group.weights + 2 * kWeights + kGroupRows * 16 + block.scratch_row * padded / 2;
  return s;
}

void begin(const AttentionBlock& block) {
  const int64_t dim = block.desc.head_dim, group = block.desc.heads / block.desc.kv_heads, padded = padded_dim(dim);
  const __m512 scale = _mm512_set1_ps(block.desc.scale * kLog2E);
  uint32_t* out = scratch_of(block).q;
  for (int64_t row = block.row_begin; row < block.row_end; ++row, out += padded / 2) {
    const float* q = block.q + (row / group) * block.q_stride + (block.kv_head * group + row % group) * dim;
    for (int64_t d = 0; d < dim; d += 16) store_bf16(out + d / 2, _mm512_mul_ps(_mm512_loadu_ps(q + d), scale));
    for (int64_t d = dim; d < padded; d += 16) store_bf16(out + d / 2, _mm512_setzero_ps());
  }
}

// ---- a chunk -------------------------------------------------------------------------------------------------------

// The packed tiles of a block's chunk, in the order of positions: groups of rows see later and later ones.
class PackedTiles {
 public:
  // Of one group of rows alone each tile takes the place of the one before, which stays in the first-level cache.
  PackedTiles(const AttentionBlock& block, const Scratch& s, const ChunkKeys& seen, bool one_group)
      : block_(block), scratch_(s), seen_(seen), one_group_(one_group) {}

  PackedTile get(int64_t first) {
    const int64_t place = one_group_ ? 0 : first % kAttentionChunk / kAttentionTile, dim = block_.desc.head_dim;
    const PackedTile tile{scratch_.keys + place * (kAttentionTile / 2) * padded_dim(dim),
                          scratch_.values + place * (kAttentionTile / 2) * dim};
    if (first < packed_end_) return tile;
    (block_.kv.format == Format::kF16 ? pack_tile<ElementF16> : pack_tile<ElementBF16>)(block_, seen_, first, tile);
    packed_end_ = first + kAttentionTile;
    return tile;
  }

 private:
  const AttentionBlock& block_;
  const Scratch& scratch_;
  const ChunkKeys& seen_;
  bool one_group_;
  int64_t packed_end_ = -1;
};

// Rows [r, end) of the block, at most kGroupRows.
template <int kTiles>
void group_rows(const AttentionBlock& block, const Scratch& s, PackedTiles& tiles, const AttentionPartial& partial,
                int64_t chunk, int64_t r, int64_t end) {
  const AttentionDesc& desc = block.desc;
  const int64_t dim = desc.head_dim, group = desc.heads / desc.kv_heads, count = end - r;
  const uint32_t* q = s.q + r * padded_dim(dim) / 2;
  float* out = partial.out + r * dim;
  int64_t position[kGroupRows];
  for (int64_t i = 0; i < count; ++i) {
    position[i] = block.history + (block.row_begin + r + i) / group;
    partial.max[r + i] = -__builtin_inff();
    _mm512_storeu_ps(s.lanes + i * 16, _mm512_setzero_ps());
  }
  const int64_t key_end = lesser(position[count - 1] + 1, (chunk + 1) * kAttentionChunk);
  const int64_t key_begin = greater(first_visible_key(desc, position[0]), chunk * kAttentionChunk);
  bool resume = false;
  for (int64_t key = key_begin / kAttentionTile * kAttentionTile; key < key_end; key += kAttentionTile) {
    const PackedTile packed = tiles.get(key);
    tile_scores<kTiles>(s.group, packed, q, dim);
    for (int64_t tile = 0; tile < kTiles; ++tile) {
      const int64_t row = tile * kTileRows;
      make_tile_weights(desc, {.count = lesser(kTileRows, count - row),
                               .position = position + row,
                               .first = key,
                               .scores = s.group.scores + tile * kScores,
                               .weights = s.group.weights + tile * kWeights,
                               .level = partial.max + r + row,
                               .lanes = s.lanes + row * 16,
                               .out = out + row * dim});
    }
    add_values<kTiles>(s.group, packed, dim, resume, out);
    resume = true;
  }
  for (int64_t row = 0; row < count; row += kTileRows) {
    sum_of_lanes(s.lanes + row * 16, lesser(kTileRows, count - row), partial.sum + r + row);
  }
}

void clear_rows(const AttentionPartial& partial, int64_t begin, int64_t end, int64_t dim) {
  for (int64_t r = begin; r < end; ++r) {
    partial.max[r] = -__builtin_inff();
    partial.sum[r] = 0;
  }
  for (int64_t i = begin * dim; i < end * dim; i += 16) _mm512_storeu_ps(partial.out + i, _mm512_setzero_ps());
}

void chunk(const AttentionBlock& block, int64_t chunk, const AttentionPartial& partial) {
  const AttentionDesc& desc = block.desc;
  const int64_t dim = desc.head_dim, group = desc.heads / desc.kv_heads, count = block.row_end - block.row_begin;
  const int64_t first = chunk * kAttentionChunk, all_end = block.history + (block.row_end - 1) / group + 1;
  const Seen rows = rows_that_see(block, first, kAttentionChunk);
  if (rows.begin >= rows.end) return clear_rows(partial, 0, count, dim);
  clear_rows(partial, 0, rows.begin, dim);
  clear_rows(partial, rows.end, count, dim);
  const int64_t first_position = block.history + (block.row_begin + rows.begin) / group;
  const ChunkKeys keys{greater(first_visible_key(desc, first_position), first),
                       lesser(all_end, first + kAttentionChunk), all_end};
  const Scratch s = scratch_of(block);
  PackedTiles tiles(block, s, keys, rows.end - rows.begin <= kGroupRows);
  int64_t configured = 0;
  for (int64_t r = rows.begin; r < rows.end; r += kGroupRows) {
    const int64_t some = lesser(kGroupRows, rows.end - r);
    if (some != configured) configure_tiles(shapes_for(configured = some));
    (some > kTileRows ? group_rows<2> : group_rows<1>)(block, s, tiles, partial, chunk, r, r + some);
  }
  release_tiles();
}

bool supports(const AttentionDesc& desc, Format format) {
  return desc.head_dim % 16 == 0 && desc.head_dim <= kMaxHeadDim && (format == Format::kF16 || format == Format::kBF16);
}

const AttentionImpl kRows[] = {{.name = "amx_bf16",
                                .needs = kIsaAvx512 | kIsaAvx512Bf16 | kIsaAmxBf16,
                                .fast_with = kIsaNone,
                                .arithmetic = Arithmetic::kBf16Tile,
                                .block_rows = kBlockRows,
                                .load_rows = kLoadRows,
                                .supports = supports,
                                .scratch_bytes = scratch_bytes,
                                .begin = begin,
                                .chunk = chunk,
                                .merge = attention_merge<Avx512>,
                                .finish = attention_finish<Avx512>}};

}  // namespace

const AttentionImplSpan kAttentionAmx = {kRows, 1};

}  // namespace tern
