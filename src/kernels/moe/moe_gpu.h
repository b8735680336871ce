// A mixture of experts on a GPU: the router, and the experts' products with each weight read once for many tokens of an
// expert. Plain: CUDA files include this. A visit is one token at one of its experts: number token * used + i.
#pragma once

#include <cstdint>

#include "kernels/activation/glu_impl.h"
#include "kernels/gpu_impl.h"
#include "kernels/moe/route.h"

namespace tern {

// What route_row() does, a warp a token.
struct GpuRouteArgs {
  RouteFacts facts;     // at most kGpuMostExperts
  const float* scores;  // [tokens, experts]
  float* route;         // [tokens, 2 * used]: experts by falling score, then their weights
  int64_t tokens;
  bool overlap;  // begin while the launch before still runs
};

inline constexpr int64_t kGpuMostExperts = 1024;
inline constexpr int kGpuExpertTile = 32;  // visits of one expert that a tile has at most

// Visits [begin, begin + count) of the sorted list, all of one expert.
struct ExpertTile {
  int32_t expert, begin, count;
};

// How many tiles there can be.
constexpr int64_t gpu_expert_tiles(int64_t visits, int64_t experts) {
  const int64_t whole = visits / kGpuExpertTile, parted = visits < experts ? visits : experts;
  return whole + parted;
}

// Visits by expert, in tiles.
struct GpuSortVisitsArgs {
  const float* route;  // [tokens, 2 * used]
  int64_t tokens, used, experts;
  int32_t* order;      // [tokens * used] visits, those of one expert side by side
  ExpertTile* tiles;   // [tile_count], behind the last one with visits such of none
  int64_t tile_count;  // gpu_expert_tiles()
  bool overlap;
};

// y[visit] = W[expert] x, or act(G x) * (U x) where W[expert] is G over U.
struct GpuExpertProductArgs {
  const void* weights;  // bf16 [experts, gated ? 2 * rows : rows, cols]
  const void* x;        // bf16 [tokens, cols], or [visits, cols] with used = 1
  void* y;              // bf16 [visits, rows]
  const int32_t* order;
  const ExpertTile* tiles;
  int64_t tile_count;  // of the list
  int64_t rows, cols;  // cols a multiple of 8
  int64_t used;        // visits of a row of x
  bool gated;
  Activation activation;  // of gated ones
  bool overlap;
};

// out[t] = sum over i of weight[t, i] * y[t * used + i].
struct GpuSumVisitsArgs {
  const void* y;       // bf16 [tokens * used, cols]
  const float* route;  // [tokens, 2 * used]
  void* out;           // bf16 [tokens, cols]
  int64_t tokens, used, cols;
  bool overlap;
};

extern const GpuImpl<GpuRouteArgs> kGpuRouteSm80;
extern const GpuImpl<GpuSortVisitsArgs> kGpuSortVisitsSm80;
extern const GpuImpl<GpuExpertProductArgs> kGpuExpertProductSm80;
extern const GpuImpl<GpuSumVisitsArgs> kGpuSumVisitsSm80;

}  // namespace tern
