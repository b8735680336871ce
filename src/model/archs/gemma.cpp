#include "model/archs/gemma.h"

#include <cmath>

#include "model/archs/keys.h"

namespace tern {

ModelConfig gemma_config(const Checkpoint& checkpoint, int64_t period, int64_t layers_of_27b) {
  ModelConfig c = decoder_config(checkpoint);
  const Metadata& metadata = checkpoint.metadata;
  c.rope.style = RopeStyle::kHalves;
  c.activation = Activation::kGeluTanh;
  c.post_norms = true;
  c.embedding_scale = std::sqrt(static_cast<float>(c.hidden));
  if (checkpoint.kind == CheckpointKind::kHuggingFace) {
    c.norm_plus = 1;
    c.tied_embeddings = metadata.boolean_or("tie_word_embeddings", true);
    c.window = metadata.integer_or("sliding_window", 4096, 0, 1 << 24);
    c.attention_scale = 1.0f / std::sqrt(static_cast<float>(metadata.number_or("query_pre_attn_scalar", 256)));
    refuse_flag(metadata, "attention_bias");
    period = metadata.integer_or("sliding_window_pattern", period, 1, 1 << 20);
  } else if (c.layers == layers_of_27b) {
    c.attention_scale = 1.0f / std::sqrt(static_cast<float>(c.hidden / c.heads));
  }
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    const bool local = layer % period != period - 1;
    c.layer_attention.push_back({.window = local ? c.window : 0, .rope = 0});
  }
  read_layer_types(checkpoint, c);
  c.window = 0;
  return c;
}

}  // namespace tern
