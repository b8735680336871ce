// The norm family: root-mean-square norm, y = x / sqrt(mean(x^2) + eps) * weight, or layer norm, the same of x -
// mean(x) with a bias added, alone or fused with the residual sum before it. Sums in f32 in one fixed order per
// implementation. Called by all workers; rows are shared out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "kernels/cost.h"
#include "kernels/norm/norm_impl.h"
#include "kernels/selection.h"

namespace tern {

class RmsNorm {
 public:
  explicit RmsNorm(const KernelSelection& selection);
  void run(const NormArgs& args, const Team& team) const;
  // All rows of `args`, by one worker.
  void run(const NormArgs& args) const { impl_->run(args, 0, args.tokens); }
  static Cost cost(int64_t tokens, int64_t cols, bool with_delta);
  std::string kernel_name() const;

 private:
  const NormImpl* impl_;
};

std::vector<KernelListing> norm_listing();

}  // namespace tern
