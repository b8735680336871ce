// GPT-2: layer norms, a table of positions, feed-forwards without a gate, biases everywhere. Hugging Face files have
// every matrix transposed.
#include <array>

#include "model/archs/arch.h"
#include "model/archs/keys.h"
#include "model/blocks/transformer.h"

namespace tern {
namespace {

constexpr std::array<std::string_view, 1> kGgufNames{"gpt2"};
constexpr std::array<std::string_view, 1> kHuggingFaceNames{"GPT2LMHeadModel"};
constexpr StoredForm kTransposed{.transposed = true};
constexpr std::array kNames{
    RoleName{Role::kTokenEmbedding, "token_embd.weight", "transformer.wte.weight"},
    RoleName{Role::kPositions, "position_embd.weight", "transformer.wpe.weight"},
    RoleName{Role::kOutputNorm, "output_norm.weight", "transformer.ln_f.weight"},
    RoleName{Role::kAttentionNorm, "blk.#.attn_norm.weight", "transformer.h.#.ln_1.weight"},
    RoleName{Role::kAttentionQkv, "blk.#.attn_qkv.weight", "transformer.h.#.attn.c_attn.weight", kTransposed},
    RoleName{Role::kAttentionOut, "blk.#.attn_output.weight", "transformer.h.#.attn.c_proj.weight", kTransposed},
    RoleName{Role::kFfnNorm, "blk.#.ffn_norm.weight", "transformer.h.#.ln_2.weight"},
    RoleName{Role::kFfnUp, "blk.#.ffn_up.weight", "transformer.h.#.mlp.c_fc.weight", kTransposed},
    RoleName{Role::kFfnDown, "blk.#.ffn_down.weight", "transformer.h.#.mlp.c_proj.weight", kTransposed},
};

ModelConfig config(const Checkpoint& checkpoint) {
  ModelConfig c = decoder_config(checkpoint);
  c.layer_norms = c.norm_bias = c.ffn_bias = c.qkv_bias = c.output_bias = true;
  c.gated = false;
  c.fused_projections = true;
  c.learned_positions = true;
  for (int64_t layer = 0; layer < c.layers; ++layer) c.layer_attention.push_back({.window = 0, .rope = -1});
  if (checkpoint.kind == CheckpointKind::kGguf) {
    c.activation = Activation::kGeluTanh;
  } else {
    c.tied_embeddings = checkpoint.metadata.boolean_or("tie_word_embeddings", true);
    refuse_flag(checkpoint.metadata, "scale_attn_by_inverse_layer_idx");
  }
  return c;
}

}  // namespace

constinit const ArchSpec kArchGpt2{"gpt2",  kGgufNames, kHuggingFaceNames, config, decoder,
                                   "GPT-2", kNames,     "transformer."};

}  // namespace tern
