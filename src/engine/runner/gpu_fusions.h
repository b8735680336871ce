// Which ops of a lowered program a GPU's product does in its own launch where it has few tokens (decode_product.h): a
// gated activation, a rotation with the cache's update, a residual sum with the norm behind it, whose division is left
// to the products that read it. A layer of a dense model is five launches then. Pure functions.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/attention/decode_attention.h"
#include "model/program.h"

namespace tern {

struct GpuFusions {
  std::vector<int32_t> product;  // [ops] the linear op that does this one too; -1: none
  std::vector<int32_t> norm;     // [ops] of a linear op: the norm done so whose division it makes up for; -1: none
};

// Each op for itself.
GpuFusions no_gpu_fusions(const Program& program);

// `few`: the linear op has a kernel for few tokens.
GpuFusions find_gpu_fusions(const Program& program, DecodeKv kv, const std::function<bool(const Op&)>& few);

// What to plan memory for: a product that does the op behind it writes that one's outputs while it reads its own input.
Program with_fused_lifetimes(const Program& program, const GpuFusions& fusions);

}  // namespace tern
