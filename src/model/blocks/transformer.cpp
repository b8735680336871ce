#include "model/blocks/transformer.h"

#include <algorithm>

#include "model/blocks/gated_delta.h"
#include "model/blocks/latent_attention.h"
#include "model/blocks/mixture.h"
#include "model/blocks/short_conv.h"

namespace tern {

namespace {

Operand input_norm(ProgramBuilder& b, const ModelConfig& c, Operand hidden, Role weight, int32_t layer) {
  return c.input_norms ? b.norm(hidden, weight, layer) : hidden;
}

// hidden + scale * norm(delta), where the model has either.
Operand add_residual(ProgramBuilder& b, const ModelConfig& c, Operand hidden, Operand delta, Role norm, int32_t layer) {
  if (c.post_norms) delta = b.norm(delta, norm, layer);
  return b.add(hidden, b.scale(delta, c.residual_scale, layer), layer);
}

struct Projections {
  Operand q, k, v;
  Operand gate = {};  // beside q: where attention has one
};

Projections project(ProgramBuilder& b, const ModelConfig& c, Operand x, int32_t layer) {
  const int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  if (c.fused_projections) {
    return {b.linear_rows(x, Role::kAttentionQkv, 0, layer, q, "q", c.qkv_bias),
            b.linear_rows(x, Role::kAttentionQkv, q, layer, kv, "k", c.qkv_bias),
            b.linear_rows(x, Role::kAttentionQkv, q + kv, layer, kv, "v", c.qkv_bias)};
  }
  const Operand both = b.linear(x, Role::kAttentionQ, c.qkv_bias, layer, c.attention_gate ? 2 * q : q, "q");
  const Operand k = b.linear(x, Role::kAttentionK, c.qkv_bias, layer, kv, "k");
  const Operand v = b.linear(x, Role::kAttentionV, c.qkv_bias, layer, kv, "v");
  if (!c.attention_gate) return {both, k, v};
  return {b.first_columns(both, c.heads, q, layer, "queries"), k, v, both};
}

Operand grouped_attention(ProgramBuilder& b, const ModelConfig& c, Operand x, int32_t layer, int32_t cache) {
  auto [q, k, v, gate] = project(b, c, x, layer);
  if (c.row_norms) {
    q = b.norm(q, Role::kAttentionQNorm, layer);
    k = b.norm(k, Role::kAttentionKNorm, layer);
  }
  if (c.head_norms) {
    q = b.head_norm(q, Role::kAttentionQNorm, layer);
    k = b.head_norm(k, Role::kAttentionKNorm, layer);
  }
  if (c.unit_head_norms && c.attention_of(layer).rope >= 0) {
    q = b.head_norm(q, Role::kNone, layer);
    k = b.head_norm(k, Role::kNone, layer);
  }
  const Operand rotated_q = b.rope(q, layer, "rotated_q");
  const Operand rotated_k = b.rope(k, layer, "rotated_k");
  b.kv_write(rotated_k, v, layer, cache);
  Operand mixed = b.attention(b.scale_queries(rotated_q, layer), layer, cache);
  if (c.attention_gate) mixed = b.sigmoid_gate(mixed, gate, c.heads, layer);
  return b.linear(mixed, Role::kAttentionOut, c.output_bias, layer, c.hidden, "attention_out");
}

Operand dense(ProgramBuilder& b, const ModelConfig& c, Operand x, int32_t layer) {
  const bool fused = c.gated && c.fused_projections;
  Operand product = x;
  if (c.gated) {
    const Operand gate = fused ? b.linear_rows(x, Role::kFfnGateUp, 0, layer, c.ffn, "gate")
                               : b.linear(x, Role::kFfnGate, c.ffn_bias, layer, c.ffn, "gate");
    const Operand up = fused ? b.linear_rows(x, Role::kFfnGateUp, c.ffn, layer, c.ffn, "up")
                             : b.linear(x, Role::kFfnUp, c.ffn_bias, layer, c.ffn, "up");
    product = b.mul(b.activation(gate, layer), up, layer);
  } else {
    product = b.activation(b.linear(x, Role::kFfnUp, c.ffn_bias, layer, c.ffn, "up"), layer);
  }
  return b.linear(product, Role::kFfnDown, c.ffn_bias, layer, c.hidden, "ffn_out");
}

}  // namespace

Operand attention_delta(ProgramBuilder& b, const ModelConfig& c, Operand x, int32_t layer, int32_t cache) {
  if (c.attention_of(layer).conv) return short_convolution(b, c, x, layer, cache);
  if (c.attention_of(layer).delta) return gated_delta_net(b, c, x, layer, cache);
  return c.latent.rank > 0 ? latent_attention(b, c, x, layer, cache) : grouped_attention(b, c, x, layer, cache);
}

Operand feed_forward_delta(ProgramBuilder& b, const ModelConfig& c, Operand x, int32_t layer) {
  const bool mixture =
      c.route.experts > 0 && layer >= c.dense_layers && (layer - c.dense_layers + 1) % c.mixture_step == 0;
  return mixture ? mixture_of_experts(b, c, x, layer) : dense(b, c, x, layer);
}

Operand self_attention(ProgramBuilder& b, const ModelConfig& c, Operand hidden, int32_t layer, int32_t cache) {
  const Operand x = input_norm(b, c, hidden, Role::kAttentionNorm, layer);
  return add_residual(b, c, hidden, attention_delta(b, c, x, layer, cache), Role::kAttentionPostNorm, layer);
}

Operand feed_forward(ProgramBuilder& b, const ModelConfig& c, Operand hidden, int32_t layer) {
  const Operand x = input_norm(b, c, hidden, Role::kFfnNorm, layer);
  return add_residual(b, c, hidden, feed_forward_delta(b, c, x, layer), Role::kFfnPostNorm, layer);
}

Operand parallel_block(ProgramBuilder& b, const ModelConfig& c, Operand hidden, int32_t layer, int32_t cache) {
  const Operand x = b.norm(hidden, Role::kAttentionNorm, layer);
  const Operand attended = b.add(hidden, attention_delta(b, c, x, layer, cache), layer);
  return b.add(attended, feed_forward_delta(b, c, x, layer), layer);
}

namespace {

CacheGroup group_for(const ModelConfig& c, const LayerAttention& layer) {
  if (layer.conv)
    return {.kind = CacheKind::kState, .window = kStateReach, .state_floats = (c.conv_length - 1) * c.hidden};
  if (layer.delta) return {.kind = CacheKind::kState, .window = kStateReach, .state_floats = c.delta.state_floats()};
  const CacheKind kind = c.latent.rank > 0  ? CacheKind::kLatent
                         : layer.window > 0 ? CacheKind::kSlidingWindow
                                            : CacheKind::kPagedTokens;
  return {
      .kind = kind, .kv_heads = c.kv_heads, .head_dim = c.head_dim, .window = layer.window, .chunked = layer.chunked};
}

}  // namespace

std::vector<int32_t> cache_groups(ProgramBuilder& b, const ModelConfig& c) {
  std::vector<CacheGroup> groups;
  std::vector<int32_t> group_of;
  for (int32_t layer = 0; layer < static_cast<int32_t>(c.layers); ++layer) {
    CacheGroup wanted = group_for(c, c.attention_of(layer));
    auto at = std::find_if(groups.begin(), groups.end(), [&](const CacheGroup& g) {
      return g.kind == wanted.kind && g.window == wanted.window && g.chunked == wanted.chunked &&
             g.state_floats == wanted.state_floats;
    });
    if (at == groups.end()) at = groups.insert(groups.end(), std::move(wanted));
    at->layers.push_back(layer);
    group_of.push_back(static_cast<int32_t>(at - groups.begin()));
  }
  for (CacheGroup& group : groups) b.cache_group(std::move(group));
  return group_of;
}

Program decoder(const ModelConfig& c) {
  ProgramBuilder b(c);
  const std::vector<int32_t> cache = cache_groups(b, c);
  Operand hidden = b.embed();
  for (int32_t layer = 0; layer < static_cast<int32_t>(c.layers); ++layer) {
    const int32_t group = cache[static_cast<size_t>(layer)];
    hidden = c.parallel_blocks ? parallel_block(b, c, hidden, layer, group)
                               : feed_forward(b, c, self_attention(b, c, hidden, layer, group), layer);
  }
  const Operand normed = b.norm(b.select_rows(hidden), Role::kOutputNorm, -1);
  const Role head = c.tied_embeddings ? Role::kTokenEmbedding : Role::kOutput;
  const Operand logits = b.linear(normed, head, false, -1, c.vocabulary, "logits");
  return b.finish("logits", b.soft_cap(b.scale(logits, c.logit_scale, -1), c.logit_soft_cap));
}

}  // namespace tern
