// The rope family: rotary position embedding of q and k from a table of cosines and sines, fused with writing k and v
// to the paged cache, and with the norms of q's and k's heads where a model has them. Called by all workers; tokens are
// shared out.
//
// Rotation of the first `rope_dims` of each head, at position p with table row p:
//   interleaved: pairs (2i, 2i+1)            GGUF's Llama weights
//   halves:      pairs (i, i + rope_dims/2)  Hugging Face weights, Qwen 2 in both
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "kernels/cost.h"
#include "kernels/norm/norm.h"
#include "kernels/rope/rope_impl.h"
#include "kernels/selection.h"

namespace tern {

class RopeKv {
 public:
  RopeKv(Format kv_format, const KernelSelection& selection);
  void run(const RopeKvArgs& args, const Team& team) const;
  // Heads [begin, end) of all tokens, by one worker; heads of q, then of k, then of v.
  void run_heads(const RopeKvArgs& args, int64_t begin, int64_t end) const;
  Cost cost(const RopeKvArgs& args) const;
  std::string kernel_name() const;

 private:
  void run_columns(const RopeKvArgs& args, const RopeRun& run, int64_t begin, int64_t end) const;

  const RopeKvImpl* impl_;
  RmsNorm norm_;
};

std::vector<KernelListing> rope_listing();

}  // namespace tern
