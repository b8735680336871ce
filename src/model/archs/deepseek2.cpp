// DeepSeek V2, V3 and R1: attention over a latent, experts behind the first dense layers, some of them for all tokens.
// GGUF files have what makes keys and values of the latent in two tensors, Hugging Face files in one.
#include <array>
#include <cmath>

#include "model/archs/arch.h"
#include "model/archs/keys.h"
#include "model/blocks/transformer.h"

namespace tern {
namespace {

constexpr std::array<std::string_view, 1> kGgufNames{"deepseek2"};
constexpr std::array<std::string_view, 2> kHuggingFaceNames{"DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM"};
constexpr std::string_view kBoth = "model.layers.#.self_attn.kv_b_proj.weight";
constexpr std::array kNames{
    RoleName{Role::kAttentionKB, "blk.#.attn_k_b.weight", kBoth, {.transposed = true, .share = StoredShare::kFront}},
    RoleName{Role::kAttentionVB, "blk.#.attn_v_b.weight", kBoth, {.share = StoredShare::kBack}},
};
constexpr int64_t kMax = 1 << 20;

// Both return what YaRN multiplies scores with, by its root.
double read_gguf(const Metadata& m, ModelConfig& c) {
  c.latent.rank = m.integer("deepseek2.attention.kv_lora_rank", 1, kMax);
  c.latent.query_rank = m.integer_or("deepseek2.attention.q_lora_rank", 0, 0, kMax);
  c.latent.plain = m.integer("deepseek2.attention.key_length_mla", 1, kMax) - c.rope.dims;
  c.latent.value = m.integer("deepseek2.attention.value_length_mla", 1, kMax);
  c.dense_layers = m.integer_or("deepseek2.leading_dense_block_count", 0, 0, c.layers);
  c.shared_ffn = c.expert_ffn * m.integer_or("deepseek2.expert_shared_count", 0, 0, kMax);
  c.route.sigmoid = m.integer_or("deepseek2.expert_gating_func", 1, 0, 8) == 2;
  c.route.normalized = m.boolean_or("deepseek2.expert_weights_norm", false);
  c.route.scale = static_cast<float>(m.number_or("deepseek2.expert_weights_scale", 1.0));
  c.route.groups = m.integer_or("deepseek2.expert_group_count", 1, 1, kMax);
  c.route.groups_used = m.integer_or("deepseek2.expert_group_used_count", 1, 1, kMax);
  const double per_log = m.number_or("deepseek2.rope.scaling.yarn_log_multiplier", 0.0);
  if (c.rope.scaling != RopeScaling::kYarn || per_log <= 0) return 1;
  c.rope.attention_factor = 1;  // the scores have it instead
  return yarn_magnitude(c.rope.factor, per_log / 0.1);
}

double read_hugging_face(const Metadata& m, ModelConfig& c) {
  const bool third = m.strings("architectures")[0] == kHuggingFaceNames[1];
  c.rope.dims = m.integer("qk_rope_head_dim", 2, kMax);
  c.rope.style = m.boolean_or("rope_interleave", true) ? RopeStyle::kInterleaved : RopeStyle::kHalves;
  c.latent.rank = m.integer("kv_lora_rank", 1, kMax);
  c.latent.query_rank = m.integer_or("q_lora_rank", 0, 0, kMax);
  c.latent.plain = m.integer("qk_nope_head_dim", 1, kMax);
  c.latent.value = m.integer("v_head_dim", 1, kMax);
  c.dense_layers = m.integer_or("first_k_dense_replace", 0, 0, c.layers);
  c.shared_ffn = c.expert_ffn * m.integer_or("n_shared_experts", 0, 0, kMax);
  c.route.sigmoid = m.string_or("scoring_func", third ? "sigmoid" : "softmax") == "sigmoid";
  c.route.normalized = m.boolean_or("norm_topk_prob", third);
  c.route.scale = static_cast<float>(m.number_or("routed_scaling_factor", third ? 2.5 : 1.0));
  if (m.string_or("topk_method", third ? "noaux_tc" : "greedy") != "greedy") {
    c.route.groups = m.integer_or("n_group", 1, 1, kMax);
    c.route.groups_used = m.integer_or("topk_group", 1, 1, kMax);
  }
  refuse_flag(m, "attention_bias");
  if (m.integer_or("moe_layer_freq", 1, 0, kMax) != 1) m.refuse("moe_layer_freq", "is not 1, which is not supported");
  if (c.rope.scaling == RopeScaling::kNone) return 1;
  const double all = m.number_or("rope_parameters.mscale_all_dim", m.number_or("rope_scaling.mscale_all_dim", 0.0));
  return yarn_magnitude(c.rope.factor, all);
}

ModelConfig config(const Checkpoint& checkpoint) {
  ModelConfig c = decoder_config(checkpoint);
  read_experts(checkpoint, c);
  const bool gguf = checkpoint.kind == CheckpointKind::kGguf;
  const double factor = gguf ? read_gguf(checkpoint.metadata, c) : read_hugging_face(checkpoint.metadata, c);
  c.route.groups_by_two = c.route.sigmoid;
  const auto first = static_cast<int32_t>(c.dense_layers);
  c.choice_bias = checkpoint.find(tensor_name(Role::kChoiceBias, first, checkpoint.kind)) != nullptr;
  c.kv_heads = 1;
  c.head_dim = c.rope.dims + c.latent.rank;
  const auto head = static_cast<double>(c.latent.plain + c.rope.dims);
  c.attention_scale = static_cast<float>(factor * factor / std::sqrt(head));
  return c;
}

}  // namespace

constinit const ArchSpec kArchDeepseek2{
    "deepseek2", kGgufNames, kHuggingFaceNames, config, decoder, "DeepSeek V2, V2.5, V3, R1", kNames};

}  // namespace tern
