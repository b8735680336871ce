#include "engine/runner/cuda_experts.h"

#include <algorithm>

namespace tern {

void CudaRouteStep::run(const CudaStepContext& context) const {
  check_cuda(kGpuRouteSm80.run({.facts = facts_,
                                .scores = scores_.floats(),
                                .route = route_.floats(),
                                .tokens = context.count(scores_.rows),
                                .overlap = context.overlap},
                               context.stream),
             "route");
}

std::string CudaRouteStep::kernel() const { return kGpuRouteSm80.name; }

Cost CudaRouteStep::cost(const BatchShape& shape) const {
  const auto bytes = static_cast<double>(count_of(scores_, shape) * (scores_.row_bytes() + route_.row_bytes()));
  return {.bytes = bytes, .activations = bytes};
}

void CudaVisits::need(int64_t tokens, const RouteFacts& facts, int64_t hidden, int64_t ffn) {
  const int64_t visits = tokens * facts.used;
  visits_ = std::max(visits_, visits);
  tile_count_ = std::max(tile_count_, gpu_expert_tiles(visits, facts.experts));
  product_count_ = std::max(product_count_, visits * ffn);
  out_count_ = std::max(out_count_, visits * hidden);
}

void CudaVisits::reserve() {
  if (visits_ == 0) return;
  order_ = CudaMemory(static_cast<uint64_t>(visits_) * sizeof(int32_t), "experts' visits");
  tiles_ = CudaMemory(static_cast<uint64_t>(tile_count_) * sizeof(ExpertTile), "experts' visits");
  products_ = CudaMemory(static_cast<uint64_t>(product_count_) * 2, "experts' products");
  outs_ = CudaMemory(static_cast<uint64_t>(out_count_) * 2, "experts' products");
}

void CudaExpertsStep::multiply(const CudaStepContext& context, int64_t tiles) const {
  GpuExpertProductArgs args{.weights = weights_.gate_up.data,
                            .x = x_.data,
                            .y = visits_.products(),
                            .order = visits_.order(),
                            .tiles = visits_.tiles(),
                            .tile_count = tiles,
                            .rows = ffn_,
                            .cols = x_.cols,
                            .used = facts_.used,
                            .gated = true,
                            .activation = activation_,
                            .overlap = context.overlap};
  check_cuda(kGpuExpertProductSm80.run(args, context.stream), "experts");
  args.weights = weights_.down.data;
  args.x = visits_.products();
  args.y = visits_.outs();
  args.rows = out_.cols;
  args.cols = ffn_;
  args.used = 1;
  args.gated = false;
  check_cuda(kGpuExpertProductSm80.run(args, context.stream), "experts");
}

void CudaExpertsStep::run(const CudaStepContext& context) const {
  const int64_t tokens = context.count(x_.rows);
  if (tokens == 0) return;
  const int64_t tiles = gpu_expert_tiles(tokens * facts_.used, facts_.experts);
  check_cuda(kGpuSortVisitsSm80.run({.route = route_.floats(),
                                     .tokens = tokens,
                                     .used = facts_.used,
                                     .experts = facts_.experts,
                                     .order = visits_.order(),
                                     .tiles = visits_.tiles(),
                                     .tile_count = tiles,
                                     .overlap = context.overlap},
                                    context.stream),
             "experts");
  multiply(context, tiles);
  check_cuda(kGpuSumVisitsSm80.run({.y = visits_.outs(),
                                    .route = route_.floats(),
                                    .out = out_.data,
                                    .tokens = tokens,
                                    .used = facts_.used,
                                    .cols = out_.cols,
                                    .overlap = context.overlap},
                                   context.stream),
             "experts");
}

std::string CudaExpertsStep::kernel() const { return kGpuExpertProductSm80.name; }

// As many experts as tokens can go to, each read once.
Cost CudaExpertsStep::cost(const BatchShape& shape) const {
  const int64_t visits = count_of(x_, shape) * facts_.used, experts = std::min(visits, facts_.experts);
  const auto one = static_cast<double>(3 * ffn_ * x_.cols), count = static_cast<double>(visits);
  const double activations = 2 * count * static_cast<double>(2 * x_.cols + 2 * ffn_ + out_.cols);
  return {.bytes = 2 * one * static_cast<double>(experts) + activations,
          .ops = 2 * one * count,
          .activations = activations,
          .arithmetic = Arithmetic::kBf16};
}

}  // namespace tern
