// The router and what surrounds the experts' products: a warp a token's route, one thread block that sorts visits, and
// the weighted sum of a token's visits.
#include "kernels/launch.cuh"
#include "kernels/moe/moe_gpu.h"
#include "kernels/vector_sm80.cuh"

namespace tern {
namespace {

constexpr int kWarp = 32, kRouteWarps = 4, kSortThreads = 1024, kSumThreads = 256;
constexpr int kMostOfLane = static_cast<int>(kGpuMostExperts) / kWarp;

// What goes before: the higher score, then the lower index.
__device__ bool before(float score, int expert, float other_score, int other) {
  return score > other_score || (score == other_score && expert < other);
}

// The best expert of a warp, in every lane.
__device__ void best_of_warp(float& score, int& expert) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const float other_score = __shfl_xor_sync(0xffffffffu, score, distance);
    const int other = __shfl_xor_sync(0xffffffffu, expert, distance);
    if (before(other_score, other, score, expert)) score = other_score, expert = other;
  }
}

__global__ void __launch_bounds__(kWarp* kRouteWarps) route_kernel(GpuRouteArgs args) {
  launch::after_previous_launch();
  const int lane = static_cast<int>(threadIdx.x) % kWarp, experts = static_cast<int>(args.facts.experts);
  const int64_t token = static_cast<int64_t>(blockIdx.x) * kRouteWarps + threadIdx.x / kWarp;
  if (token >= args.tokens) return;
  const float* scores = args.scores + token * experts;
  float* route = args.route + token * 2 * args.facts.used;
  float mine[kMostOfLane], all = 0, sum = 0, most = 0;
#pragma unroll
  for (int i = 0; i < kMostOfLane; ++i) {
    const int e = i * kWarp + lane;
    const float score = e < experts ? scores[e] : 0;
    mine[i] = e < experts && score == score ? score : -INFINITY;  // what is no number comes last
  }
  uint32_t taken = 0;  // of mine, a bit each
  for (int pick = 0; pick < args.facts.used; ++pick) {
    float score = -INFINITY;
    int expert = experts;
#pragma unroll
    for (int i = 0; i < kMostOfLane; ++i) {
      const int e = i * kWarp + lane;
      if (e < experts && (taken >> i & 1) == 0 && before(mine[i], e, score, expert)) score = mine[i], expert = e;
    }
    best_of_warp(score, expert);
    if (expert % kWarp == lane) taken |= 1u << (expert / kWarp);
    score = scores[expert];
    if (pick == 0) most = score;
    if (lane == 0) {
      route[pick] = static_cast<float>(expert);
      route[args.facts.used + pick] = expf(score - most);
    }
    sum += expf(score - most);
  }
#pragma unroll
  for (int i = 0; i < kMostOfLane; ++i) {
    const int e = i * kWarp + lane;
    if (e < experts) all += expf(scores[e] - most);
  }
  all = gpu::warp_sum(all);
  __syncwarp();
  for (int pick = lane; pick < args.facts.used; pick += kWarp) {
    route[args.facts.used + pick] /= args.facts.normalized ? sum : all;
  }
}

int run_route(const GpuRouteArgs& args, void* stream) {
  if (args.facts.experts > kGpuMostExperts || args.facts.used > args.facts.experts) return cudaErrorInvalidValue;
  const dim3 grid(static_cast<unsigned>((args.tokens + kRouteWarps - 1) / kRouteWarps));
  return launch::run(route_kernel, grid, dim3(kWarp * kRouteWarps), args.overlap, stream, args);
}

__device__ int expert_of(const GpuSortVisitsArgs& args, int64_t visit) {
  return static_cast<int>(args.route[visit / args.used * 2 * args.used + visit % args.used]);
}

// Where each expert's visits and tiles begin: by one warp, lane after lane.
__device__ void place_experts(const GpuSortVisitsArgs& args, const int32_t* count, int32_t* begin) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp, experts = static_cast<int>(args.experts);
  int32_t visits = 0, tiles = 0;  // before the 32 experts at hand
  for (int first = 0; first < experts; first += kWarp) {
    const int e = first + lane;
    const int32_t own = e < experts ? count[e] : 0, own_tiles = (own + kGpuExpertTile - 1) / kGpuExpertTile;
    int32_t visits_to = own, tiles_to = own_tiles;  // with this expert
    for (int distance = 1; distance < kWarp; distance *= 2) {
      const int32_t more = __shfl_up_sync(0xffffffffu, visits_to, distance);
      const int32_t more_tiles = __shfl_up_sync(0xffffffffu, tiles_to, distance);
      if (lane >= distance) visits_to += more, tiles_to += more_tiles;
    }
    if (e < experts) begin[e] = visits + visits_to - own;
    for (int32_t t = 0; t < own_tiles; ++t) {
      args.tiles[tiles + tiles_to - own_tiles + t] = {e, visits + visits_to - own + t * kGpuExpertTile,
                                                      min(own - t * kGpuExpertTile, kGpuExpertTile)};
    }
    visits += __shfl_sync(0xffffffffu, visits_to, kWarp - 1);
    tiles += __shfl_sync(0xffffffffu, tiles_to, kWarp - 1);
  }
  for (int32_t t = tiles + lane; t < args.tile_count; t += kWarp) args.tiles[t] = {0, 0, 0};
}

__global__ void __launch_bounds__(kSortThreads) sort_visits_kernel(GpuSortVisitsArgs args) {
  __shared__ int32_t count[kGpuMostExperts], begin[kGpuMostExperts];
  launch::after_previous_launch();
  const int64_t visits = args.tokens * args.used;
  for (int64_t e = threadIdx.x; e < args.experts; e += kSortThreads) count[e] = 0;
  __syncthreads();
  for (int64_t v = threadIdx.x; v < visits; v += kSortThreads) atomicAdd(&count[expert_of(args, v)], 1);
  __syncthreads();
  if (threadIdx.x < kWarp) place_experts(args, count, begin);
  __syncthreads();
  // The order among one expert's visits is any: a visit's product depends on nothing but itself.
  for (int64_t v = threadIdx.x; v < visits; v += kSortThreads) {
    args.order[atomicAdd(&begin[expert_of(args, v)], 1)] = static_cast<int32_t>(v);
  }
}

int run_sort(const GpuSortVisitsArgs& args, void* stream) {
  if (args.experts > kGpuMostExperts) return cudaErrorInvalidValue;
  return launch::run(sort_visits_kernel, dim3(args.tokens > 0 ? 1 : 0), dim3(kSortThreads), args.overlap, stream, args);
}

__global__ void __launch_bounds__(kSumThreads) sum_visits_kernel(GpuSumVisitsArgs args) {
  launch::after_previous_launch();
  const int64_t token = blockIdx.x;
  const float* weights = args.route + token * 2 * args.used + args.used;
  const int64_t c = (static_cast<int64_t>(blockIdx.y) * kSumThreads + threadIdx.x) * gpu::kVector;
  if (c >= args.cols) return;
  float sum[gpu::kVector] = {};
  for (int64_t i = 0; i < args.used; ++i) {
    float values[gpu::kVector];
    gpu::load(static_cast<const uint16_t*>(args.y) + (token * args.used + i) * args.cols + c, values);
#pragma unroll
    for (int j = 0; j < gpu::kVector; ++j) sum[j] = fmaf(weights[i], values[j], sum[j]);
  }
  gpu::store(static_cast<uint16_t*>(args.out) + token * args.cols + c, sum);
}

int run_sum(const GpuSumVisitsArgs& args, void* stream) {
  if (args.cols % gpu::kVector != 0) return cudaErrorInvalidValue;
  const int64_t vectors = args.cols / gpu::kVector;
  const dim3 grid(static_cast<unsigned>(args.tokens), static_cast<unsigned>((vectors + kSumThreads - 1) / kSumThreads));
  return launch::run(sum_visits_kernel, grid, dim3(kSumThreads), args.overlap, stream, args);
}

}  // namespace

const GpuImpl<GpuRouteArgs> kGpuRouteSm80 = {"sm80", run_route};
const GpuImpl<GpuSortVisitsArgs> kGpuSortVisitsSm80 = {"sm80", run_sort};
const GpuImpl<GpuSumVisitsArgs> kGpuSumVisitsSm80 = {"sm80", run_sum};

}  // namespace tern
