// How a model's heads rotate, read from the weights of its keys.
//
// A rotation mixes the two elements of a pair and leaves the pair's length, so training sees pairs: the rows of k that
// make one come to have nearly the same norm, while rows of far frequencies do not. In SmolLM2 135M logarithms of
// energies differ by 0.32 within pairs, by 0.82 half a head away from its interleaved ones.
#pragma once

#include <optional>

#include "kernels/rope/rope.h"
#include "plan/autodeploy/tensor_roles.h"

namespace tern {

struct RopePairsMeasure {
  // Mean differences of the logarithms of two rows' energies: of rows that would be a pair, and of any two of a head.
  double halves = 0, interleaved = 0, any = 0;
  // Set where only one layout explains the differences. Rows beside each other are of neighbouring frequencies where
  // halves rotate together, and so are alike in both; rows half a head apart are alike only where they are pairs.
  std::optional<RopeStyle> style() const;
};

// Of k in all layers; the first `dims` elements of a head of `head_dim` rotate. Zeros where there are too few pairs for
// a verdict, or weights are not in memory (`tensor.data` empty).
RopePairsMeasure measure_rope_pairs(const TensorRoles& roles, int64_t heads, int64_t kv_heads, int64_t head_dim,
                                    int64_t dims);

}  // namespace tern
