#include "model/blocks/transformer.h"

#include <algorithm>

#include "model/blocks/mixture.h"

namespace tern {

namespace {

Operand input_norm(ProgramBuilder& b, const ModelConfig& c, Operand hidden, Role weight, int32_t layer) {
  return c.input_norms ? b.rms_norm(hidden, weight, layer) : hidden;
}

// hidden + scale * norm(delta), where the model has either.
Operand add_residual(ProgramBuilder& b, const ModelConfig& c, Operand hidden, Operand delta, Role norm, int32_t layer) {
  if (c.post_norms) delta = b.rms_norm(delta, norm, layer);
  return b.add(hidden, b.scale(delta, c.residual_scale, layer), layer);
}

struct Projections {
  Operand q, k, v;
};

Projections project(ProgramBuilder& b, const ModelConfig& c, Operand x, int32_t layer) {
  const int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  if (c.fused_projections) {
    return {b.linear_rows(x, Role::kAttentionQkv, 0, layer, q, "q"),
            b.linear_rows(x, Role::kAttentionQkv, q, layer, kv, "k"),
            b.linear_rows(x, Role::kAttentionQkv, q + kv, layer, kv, "v")};
  }
  const auto bias = [&](Role role) { return c.qkv_bias ? role : Role::kNone; };
  return {b.linear(x, Role::kAttentionQ, bias(Role::kAttentionQBias), layer, q, "q"),
          b.linear(x, Role::kAttentionK, bias(Role::kAttentionKBias), layer, kv, "k"),
          b.linear(x, Role::kAttentionV, bias(Role::kAttentionVBias), layer, kv, "v")};
}

// One cache group for each window that layers have, in the order in which they first come.
std::vector<int32_t> cache_groups(ProgramBuilder& b, const ModelConfig& c) {
  std::vector<CacheGroup> groups;
  std::vector<int32_t> group_of;
  for (int32_t layer = 0; layer < static_cast<int32_t>(c.layers); ++layer) {
    const int64_t window = c.attention_of(layer).window;
    auto at = std::find_if(groups.begin(), groups.end(), [&](const CacheGroup& g) { return g.window == window; });
    if (at == groups.end()) {
      const CacheKind kind = window > 0 ? CacheKind::kSlidingWindow : CacheKind::kPagedTokens;
      groups.push_back({.kind = kind, .layers = {}, .kv_heads = c.kv_heads, .head_dim = c.head_dim, .window = window});
      at = groups.end() - 1;
    }
    at->layers.push_back(layer);
    group_of.push_back(static_cast<int32_t>(at - groups.begin()));
  }
  for (CacheGroup& group : groups) b.cache_group(std::move(group));
  return group_of;
}

}  // namespace

Operand self_attention(ProgramBuilder& b, const ModelConfig& c, Operand hidden, int32_t layer, int32_t cache) {
  auto [q, k, v] = project(b, c, input_norm(b, c, hidden, Role::kAttentionNorm, layer), layer);
  if (c.row_norms) {
    q = b.rms_norm(q, Role::kAttentionQNorm, layer);
    k = b.rms_norm(k, Role::kAttentionKNorm, layer);
  }
  if (c.head_norms) {
    q = b.head_norm(q, Role::kAttentionQNorm, layer);
    k = b.head_norm(k, Role::kAttentionKNorm, layer);
  }
  const Operand rotated_q = b.rope(q, layer, "rotated_q");
  const Operand rotated_k = b.rope(k, layer, "rotated_k");
  b.kv_write(rotated_k, v, layer, cache);
  const Operand mixed = b.attention(rotated_q, layer, cache);
  const Role out_bias = c.output_bias ? Role::kAttentionOutBias : Role::kNone;
  const Operand delta = b.linear(mixed, Role::kAttentionOut, out_bias, layer, c.hidden, "attention_out");
  return add_residual(b, c, hidden, delta, Role::kAttentionPostNorm, layer);
}

Operand feed_forward(ProgramBuilder& b, const ModelConfig& c, Operand hidden, int32_t layer) {
  const Operand x = input_norm(b, c, hidden, Role::kFfnNorm, layer);
  if (c.route.experts > 0) {
    return add_residual(b, c, hidden, mixture_of_experts(b, c, x, layer), Role::kFfnPostNorm, layer);
  }
  const bool fused = c.fused_projections;
  const Operand gate = fused ? b.linear_rows(x, Role::kFfnGateUp, 0, layer, c.ffn, "gate")
                             : b.linear(x, Role::kFfnGate, Role::kNone, layer, c.ffn, "gate");
  const Operand up = fused ? b.linear_rows(x, Role::kFfnGateUp, c.ffn, layer, c.ffn, "up")
                           : b.linear(x, Role::kFfnUp, Role::kNone, layer, c.ffn, "up");
  const Operand product = b.mul(b.activation(gate, layer), up, layer);
  const Operand delta = b.linear(product, Role::kFfnDown, Role::kNone, layer, c.hidden, "ffn_out");
  return add_residual(b, c, hidden, delta, Role::kFfnPostNorm, layer);
}

Program decoder(const ModelConfig& c) {
  ProgramBuilder b(c);
  const std::vector<int32_t> cache = cache_groups(b, c);
  Operand hidden = b.embed();
  for (int32_t layer = 0; layer < static_cast<int32_t>(c.layers); ++layer) {
    hidden = self_attention(b, c, hidden, layer, cache[static_cast<size_t>(layer)]);
    hidden = feed_forward(b, c, hidden, layer);
  }
  const Operand normed = b.rms_norm(b.select_rows(hidden), Role::kOutputNorm, -1);
  const Role head = c.tied_embeddings ? Role::kTokenEmbedding : Role::kOutput;
  const Operand logits = b.linear(normed, head, Role::kNone, -1, c.vocabulary, "logits");
  return b.finish("logits", b.soft_cap(b.scale(logits, c.logit_scale, -1), c.logit_soft_cap));
}

}  // namespace tern
