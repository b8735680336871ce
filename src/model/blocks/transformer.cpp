#include "model/blocks/transformer.h"

#include <numeric>

namespace tern {

Operand self_attention(ProgramBuilder& b, const ModelConfig& c, Operand hidden, int32_t layer, int32_t cache) {
  const auto bias = [&](Role role) { return c.qkv_bias ? role : Role::kNone; };
  const Operand x = b.rms_norm(hidden, Role::kAttentionNorm, layer);
  const Operand q = b.linear(x, Role::kAttentionQ, bias(Role::kAttentionQBias), layer, c.heads * c.head_dim, "q");
  const Operand k = b.linear(x, Role::kAttentionK, bias(Role::kAttentionKBias), layer, c.kv_heads * c.head_dim, "k");
  const Operand v = b.linear(x, Role::kAttentionV, bias(Role::kAttentionVBias), layer, c.kv_heads * c.head_dim, "v");
  const Operand rotated_q = b.rope(q, layer, "rotated_q");
  const Operand rotated_k = b.rope(k, layer, "rotated_k");
  b.kv_write(rotated_k, v, layer, cache);
  const Operand mixed = b.attention(rotated_q, layer, cache);
  const Role out_bias = c.output_bias ? Role::kAttentionOutBias : Role::kNone;
  return b.add(hidden, b.linear(mixed, Role::kAttentionOut, out_bias, layer, c.hidden, "attention_out"), layer);
}

Operand gated_mlp(ProgramBuilder& b, const ModelConfig& c, Operand hidden, int32_t layer) {
  const Operand x = b.rms_norm(hidden, Role::kFfnNorm, layer);
  const Operand gate = b.linear(x, Role::kFfnGate, Role::kNone, layer, c.ffn, "gate");
  const Operand up = b.linear(x, Role::kFfnUp, Role::kNone, layer, c.ffn, "up");
  const Operand product = b.mul(b.activation(gate, layer), up, layer);
  return b.add(hidden, b.linear(product, Role::kFfnDown, Role::kNone, layer, c.hidden, "ffn_out"), layer);
}

Program decoder(const ModelConfig& c) {
  ProgramBuilder b(c);
  const CacheKind kind = c.window > 0 ? CacheKind::kSlidingWindow : CacheKind::kPagedTokens;
  CacheGroup group{.kind = kind, .kv_heads = c.kv_heads, .head_dim = c.head_dim, .window = c.window};
  group.layers.resize(static_cast<size_t>(c.layers));
  std::iota(group.layers.begin(), group.layers.end(), 0);
  const int32_t cache = b.cache_group(std::move(group));

  Operand hidden = b.embed();
  for (int32_t layer = 0; layer < static_cast<int32_t>(c.layers); ++layer) {
    hidden = self_attention(b, c, hidden, layer, cache);
    hidden = gated_mlp(b, c, hidden, layer);
  }
  const Operand normed = b.rms_norm(b.select_rows(hidden), Role::kOutputNorm, -1);
  const Role head = c.tied_embeddings ? Role::kTokenEmbedding : Role::kOutput;
  return b.finish("logits", b.linear(normed, head, Role::kNone, -1, c.vocabulary, "logits"));
}

}  // namespace tern
