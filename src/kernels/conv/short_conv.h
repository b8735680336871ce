// A causal convolution over a few tokens, a channel each, whose past is a state in a paged cache. Plain loops; called
// by all workers of a team, which share out the channels.
//
// out[t, c] = gate[t, c] * sum over i of weight[c, i] * v[t - length + 1 + i, c], with v[t, c] = b[t, c] * x[t, c] and
// 0 before a sequence's beginning. The state is v of the last length - 1 tokens, oldest first. It is written into the
// block of the last token that it counts, so a full block has the state at its end, and what begins there goes on from
// it. Bits: an element depends on its own channel's last values alone, however a prompt was cut.
#pragma once

#include <cstdint>

#include "core/thread_pool.h"
#include "kernels/batch_shape.h"
#include "kernels/state_view.h"

namespace tern {

inline constexpr int64_t kMaxShortConv = 8;  // tokens that one sum reaches

struct ShortConvArgs {
  const float* in;  // [tokens, in_stride]: b, then the gate, then x, `channels` each
  int64_t in_stride;
  float* out;  // [tokens, out_stride]
  int64_t out_stride;
  const float* weight;  // [channels, length], of the newest token last
  int64_t channels;
  int64_t length;   // 2 to kMaxShortConv
  StateView state;  // f32 [length - 1, channels]
  BatchShape batch;
};

void short_conv(const ShortConvArgs& args, const Team& team);

}  // namespace tern
