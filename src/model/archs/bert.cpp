// BERT: an encoder with tables of positions and of token types, layer norms behind what is added, biases everywhere.
#include <array>

#include "model/archs/arch.h"
#include "model/archs/keys.h"
#include "model/blocks/encoder.h"

namespace tern {
namespace {

constexpr std::array<std::string_view, 1> kGgufNames{"bert"};
constexpr std::array<std::string_view, 1> kHuggingFaceNames{"BertModel"};
constexpr std::array kNames{
    RoleName{Role::kTokenEmbedding, "token_embd.weight", "bert.embeddings.word_embeddings.weight"},
    RoleName{Role::kPositions, "position_embd.weight", "bert.embeddings.position_embeddings.weight"},
    RoleName{Role::kTokenTypes, "token_types.weight", "bert.embeddings.token_type_embeddings.weight"},
    RoleName{Role::kEmbeddingNorm, "token_embd_norm.weight", "bert.embeddings.LayerNorm.weight"},
    RoleName{Role::kAttentionQ, "blk.#.attn_q.weight", "bert.encoder.layer.#.attention.self.query.weight"},
    RoleName{Role::kAttentionK, "blk.#.attn_k.weight", "bert.encoder.layer.#.attention.self.key.weight"},
    RoleName{Role::kAttentionV, "blk.#.attn_v.weight", "bert.encoder.layer.#.attention.self.value.weight"},
    RoleName{Role::kAttentionOut, "blk.#.attn_output.weight", "bert.encoder.layer.#.attention.output.dense.weight"},
    RoleName{Role::kAttentionPostNorm, "blk.#.attn_output_norm.weight",
             "bert.encoder.layer.#.attention.output.LayerNorm.weight"},
    RoleName{Role::kFfnUp, "blk.#.ffn_up.weight", "bert.encoder.layer.#.intermediate.dense.weight"},
    RoleName{Role::kFfnDown, "blk.#.ffn_down.weight", "bert.encoder.layer.#.output.dense.weight"},
    RoleName{Role::kFfnPostNorm, "blk.#.layer_output_norm.weight", "bert.encoder.layer.#.output.LayerNorm.weight"},
};

// As GGUF files number them; folders do not say it here, and nearly all take the mean.
Pooling pooling_of(const Checkpoint& checkpoint) {
  constexpr std::array kByNumber{Pooling::kMean, Pooling::kMean, Pooling::kFirst, Pooling::kLast};
  if (checkpoint.kind != CheckpointKind::kGguf) return Pooling::kMean;
  return kByNumber[static_cast<size_t>(checkpoint.metadata.integer_or("bert.pooling_type", 1, 0, 3))];
}

ModelConfig config(const Checkpoint& checkpoint) {
  ModelConfig c = decoder_config(checkpoint);
  c.layer_norms = c.norm_bias = c.ffn_bias = c.qkv_bias = c.output_bias = true;
  c.gated = c.causal = false;
  c.learned_positions = c.token_types = true;
  c.pooling = pooling_of(checkpoint);
  if (checkpoint.kind == CheckpointKind::kGguf) c.activation = Activation::kGelu;
  for (int64_t layer = 0; layer < c.layers; ++layer) c.layer_attention.push_back({.window = 0, .rope = -1});
  return c;
}

}  // namespace

constinit const ArchSpec kArchBert{"bert", kGgufNames, kHuggingFaceNames, config, encoder, "BERT and MiniLM encoders",
                                   kNames, "bert."};

}  // namespace tern
