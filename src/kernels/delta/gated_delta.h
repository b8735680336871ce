// A gated delta net (arXiv 2412.06464): attention whose past is one matrix a head, changed by each token. Plain loops,
// a token at a time; called by all workers of a team, which share out the key heads with their value heads.
//
// For each value head, with q and k of its key head, at unit length, q also divided by sqrt(key_dim):
//   S = exp(decay * softplus(a + bias)) * S;  S += k (sigmoid(b) * (v - S^T k))^T;  o = S^T q
//   out = norm * o / rms(o) * silu(z)
// q, k and v come through a causal convolution, a channel each, and a silu. The state is what the convolution saw of
// the last tokens and S. It lies in the block of the last token that it counts, so a full block has the state at its
// end, and what begins there goes on from it. Bits: a head's results depend on its own past alone, however a prompt was
// cut.
#pragma once

#include <cstdint>

#include "core/thread_pool.h"
#include "kernels/batch_shape.h"
#include "kernels/state_view.h"

namespace tern {

inline constexpr int64_t kMaxDeltaDim = 256;  // elements of a head's key, or value

struct DeltaFacts {
  int64_t key_heads = 0;  // 0: there is no such layer
  int64_t value_heads = 0;
  int64_t key_dim = 0;
  int64_t value_dim = 0;
  int64_t conv_length = 0;  // tokens that the convolution reaches
  bool by_head = false;     // rows are q, k, v and z of one key head, then of the next; otherwise all q, all k, all v
  bool log_decay = false;   // the weight is log(-decay)

  int64_t group() const { return value_heads / key_heads; }
  int64_t keys() const { return key_heads * key_dim; }
  int64_t values() const { return value_heads * value_dim; }
  int64_t channels() const { return 2 * keys() + values(); }  // of the convolution
  int64_t state_floats() const { return (conv_length - 1) * channels() + value_heads * key_dim * value_dim; }
};

struct GatedDeltaArgs {
  DeltaFacts facts;
  const float* qkv;  // [tokens, qkv_stride]
  int64_t qkv_stride;
  const float* z;  // [tokens, z_stride]: a value head behind the other; by_head: not read, it is in qkv
  int64_t z_stride;
  const float* ba;  // [tokens, ba_stride]: of each key head b of its value heads, then a of them
  int64_t ba_stride;
  float* out;  // [tokens, out_stride]
  int64_t out_stride;
  const float* conv;   // [channels, conv_length], of the newest token last; channels: all q, all k, all v
  const float* decay;  // [value_heads], negative
  const float* bias;   // [value_heads]
  const float* norm;   // [value_dim]
  float norm_eps;
  StateView state;  // f32 [conv_length - 1, channels], oldest first, then [value_heads, key_dim, value_dim]
  BatchShape batch;
};

void gated_delta(const GatedDeltaArgs& args, const Team& team);

}  // namespace tern
