// LFM2: short convolutions in most layers, attention with norms of heads in the others. GGUF files say which by 0 KV
// heads, Hugging Face files by "conv".
#include <array>

#include "model/archs/arch.h"
#include "model/archs/keys.h"
#include "model/blocks/transformer.h"

namespace tern {
namespace {

constexpr std::array<std::string_view, 1> kGgufNames{"lfm2"};
constexpr std::array<std::string_view, 1> kHuggingFaceNames{"Lfm2ForCausalLM"};
constexpr std::array kNames{
    RoleName{Role::kOutputNorm, "token_embd_norm.weight", "model.embedding_norm.weight"},
    RoleName{Role::kAttentionNorm, "blk.#.attn_norm.weight", "model.layers.#.operator_norm.weight"},
    RoleName{Role::kAttentionQNorm, "blk.#.attn_q_norm.weight", "model.layers.#.self_attn.q_layernorm.weight"},
    RoleName{Role::kAttentionKNorm, "blk.#.attn_k_norm.weight", "model.layers.#.self_attn.k_layernorm.weight"},
    RoleName{Role::kAttentionOut, "blk.#.attn_output.weight", "model.layers.#.self_attn.out_proj.weight"},
    RoleName{Role::kFfnNorm, "blk.#.ffn_norm.weight", "model.layers.#.ffn_norm.weight"},
    RoleName{Role::kFfnGate, "blk.#.ffn_gate.weight", "model.layers.#.feed_forward.w1.weight"},
    RoleName{Role::kFfnUp, "blk.#.ffn_up.weight", "model.layers.#.feed_forward.w3.weight"},
    RoleName{Role::kFfnDown, "blk.#.ffn_down.weight", "model.layers.#.feed_forward.w2.weight"},
};
constexpr int64_t kMax = 1 << 20;

// The files give a size of which two thirds, times a factor, rounded up, are used.
constexpr double kMostFactor = 64;

int64_t adjusted_ffn(const Metadata& m, int64_t ffn) {
  ffn = m.integer_or("block_ff_dim", ffn, 1, kMax);
  if (!m.boolean_or("block_auto_adjust_ff_dim", true)) return ffn;
  const double factor = m.number_or("block_ffn_dim_multiplier", 1);
  if (!(factor > 0 && factor <= kMostFactor)) m.refuse("block_ffn_dim_multiplier", "is not a number from 0 to 64");
  const auto part = static_cast<int64_t>(factor * static_cast<double>(2 * ffn / 3));
  const int64_t multiple = m.integer_or("block_multiple_of", 256, 1, kMax);
  return (part + multiple - 1) / multiple * multiple;
}

void read_gguf(const Metadata& m, ModelConfig& c) {
  c.conv_length = m.integer("lfm2.shortconv.l_cache", 2, kMaxShortConv);
  for (const int64_t heads : m.integers("lfm2.attention.head_count_kv"))
    c.layer_attention.push_back({.conv = heads == 0});
}

void read_hugging_face(const Metadata& m, ModelConfig& c) {
  c.ffn = adjusted_ffn(m, c.ffn);
  c.conv_length = m.integer_or("conv_L_cache", 3, 2, kMaxShortConv);
  c.tied_embeddings = m.boolean_or("tie_embedding", m.boolean_or("tie_word_embeddings", true));
  for (const std::string_view type : m.strings("layer_types")) c.layer_attention.push_back({.conv = type == "conv"});
  refuse_flag(m, "conv_bias");
}

ModelConfig config(const Checkpoint& checkpoint) {
  ModelConfig c = decoder_config(checkpoint);
  c.rope.style = RopeStyle::kHalves;
  c.head_norms = true;
  checkpoint.kind == CheckpointKind::kGguf ? read_gguf(checkpoint.metadata, c)
                                           : read_hugging_face(checkpoint.metadata, c);
  return c;
}

}  // namespace

constinit const ArchSpec kArchLfm2{"lfm2", kGgufNames, kHuggingFaceNames, config, decoder, "LFM2", kNames};

}  // namespace tern
