#include "model/blocks/encoder.h"

#include "model/blocks/transformer.h"

namespace tern {

Program encoder(const ModelConfig& c) {
  ProgramBuilder b(c);
  const std::vector<int32_t> cache = cache_groups(b, c);
  Operand hidden = b.norm(b.embed(), Role::kEmbeddingNorm, -1);
  for (int32_t layer = 0; layer < static_cast<int32_t>(c.layers); ++layer) {
    const Operand attended = attention_delta(b, c, hidden, layer, cache[static_cast<size_t>(layer)]);
    hidden = b.norm(b.add(hidden, attended, layer), Role::kAttentionPostNorm, layer);
    hidden = b.norm(b.add(hidden, feed_forward_delta(b, c, hidden, layer), layer), Role::kFfnPostNorm, layer);
  }
  return b.finish("hidden", b.select_rows(hidden));
}

}  // namespace tern
