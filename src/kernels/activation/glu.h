// The gated activation family: out[t, i] = act(gate[t, i]) * up[t, i], gate and up being the halves of one merged
// buffer. Called by all workers; rows (or, for few rows, columns) are shared out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "kernels/activation/glu_impl.h"
#include "kernels/cost.h"
#include "kernels/selection.h"

namespace tern {

struct GluArgs {
  const float* gate_up;  // [tokens, 2 * cols]: gate, then up
  float* out;            // [tokens, cols]
  int64_t tokens;
  int64_t cols;
};

class Glu {
 public:
  Glu(Activation activation, const KernelSelection& selection);
  void run(const GluArgs& args, const Team& team) const;
  // Columns [begin, end) of all tokens, by one worker.
  void run_columns(const GluArgs& args, int64_t begin, int64_t end) const;
  // One row, by one worker: out[i] = act(gate[i]) * up[i].
  void run_row(const float* gate, const float* up, float* out, int64_t count) const {
    impl_->run(activation_, gate, up, out, count);
  }
  static Cost cost(int64_t tokens, int64_t cols);
  std::string kernel_name() const;

 private:
  Activation activation_;
  const GluImpl* impl_;
};

std::vector<KernelListing> glu_listing();

}  // namespace tern
