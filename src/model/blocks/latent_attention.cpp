#include "model/blocks/latent_attention.h"

namespace tern {

Operand latent_attention(ProgramBuilder& b, const ModelConfig& c, Operand x, int32_t layer, int32_t cache) {
  const LatentFacts& latent = c.latent;
  const int64_t rotated = c.rope.dims, query = c.heads * (latent.plain + rotated);
  const bool narrow = latent.query_rank > 0;
  Operand q = narrow ? b.linear(x, Role::kAttentionQA, false, layer, latent.query_rank, "q_narrow")
                     : b.linear(x, Role::kAttentionQ, false, layer, query, "q");
  const Operand kv = b.linear(x, Role::kAttentionKvA, false, layer, latent.rank + rotated, "kv");
  if (narrow) {
    q = b.linear(b.norm(q, Role::kAttentionQANorm, layer), Role::kAttentionQB, false, layer, query, "q");
  }
  q = b.head_product(q, {Role::kAttentionKB, layer, latent.rank, latent.plain},
                     {.heads = c.heads, .begin = 0, .kept_begin = latent.plain, .kept = rotated}, "absorbed_q");
  const Operand key = b.latent_key(kv, Role::kAttentionKvANorm, latent.rank, layer);
  const Operand rotated_q = b.rope(q, layer, "rotated_q");
  const Operand rotated_key = b.rope(key, layer, "rotated_k");
  b.kv_write(rotated_key, key, layer, cache);
  const Operand mixed = b.attention(rotated_q, layer, cache);
  const Operand values = b.head_product(mixed, {Role::kAttentionVB, layer, latent.value, latent.rank},
                                        {.heads = c.heads, .begin = rotated, .kept_begin = 0, .kept = 0}, "values");
  return b.linear(values, Role::kAttentionOut, false, layer, c.hidden, "attention_out");
}

}  // namespace tern
