// Qwen 3-Next: gated delta nets in most layers, attention with a gate in the others, and in every layer experts beside
// one for all tokens that is weighed by a sigmoid. Which layers are which, the tensors say.
#include <array>

#include "model/archs/arch.h"
#include "model/archs/keys.h"
#include "model/blocks/transformer.h"

namespace tern {
namespace {

constexpr std::array<std::string_view, 1> kGgufNames{"qwen3next"};
constexpr std::array<std::string_view, 1> kHuggingFaceNames{"Qwen3NextForCausalLM"};
constexpr std::array kNames{
    RoleName{Role::kFfnNorm, "blk.#.post_attention_norm.weight", "model.layers.#.post_attention_layernorm.weight"},
    RoleName{Role::kSharedGate, "blk.#.ffn_gate_shexp.weight", "model.layers.#.mlp.shared_expert.gate_proj.weight"},
    RoleName{Role::kSharedUp, "blk.#.ffn_up_shexp.weight", "model.layers.#.mlp.shared_expert.up_proj.weight"},
    RoleName{Role::kSharedDown, "blk.#.ffn_down_shexp.weight", "model.layers.#.mlp.shared_expert.down_proj.weight"},
};
constexpr int64_t kMax = 1 << 20;

void read_gguf(const Metadata& m, ModelConfig& c) {
  c.layers -= m.integer_or("qwen3next.nextn_predict_layers", 0, 0, c.layers - 1);  // a drafter's, behind the others
  c.shared_ffn = m.integer_or("qwen3next.expert_shared_feed_forward_length", c.expert_ffn, 1, kMax);
  c.delta = {.key_heads = m.integer("qwen3next.ssm.group_count", 1, kMax),
             .value_heads = m.integer("qwen3next.ssm.time_step_rank", 1, kMax),
             .key_dim = m.integer("qwen3next.ssm.state_size", 1, kMax),
             .conv_length = m.integer("qwen3next.ssm.conv_kernel", 1, kMax)};
  c.delta.value_dim = m.integer("qwen3next.ssm.inner_size", 1, kMax) / c.delta.value_heads;
}

void read_hugging_face(const Metadata& m, ModelConfig& c) {
  c.norm_plus = 1;
  c.rope.dims =
      m.has("rope_parameters.partial_rotary_factor") || m.has("partial_rotary_factor") ? c.rope.dims : c.head_dim / 4;
  c.route.normalized = m.boolean_or("norm_topk_prob", true);
  c.shared_ffn = m.integer("shared_expert_intermediate_size", 1, kMax);
  c.delta = {.key_heads = m.integer("linear_num_key_heads", 1, kMax),
             .value_heads = m.integer("linear_num_value_heads", 1, kMax),
             .key_dim = m.integer("linear_key_head_dim", 1, kMax),
             .value_dim = m.integer("linear_value_head_dim", 1, kMax),
             .conv_length = m.integer("linear_conv_kernel_dim", 1, kMax),
             .by_head = true,
             .log_decay = true};
  refuse_flag(m, "attention_bias");
  if (m.integer_or("decoder_sparse_step", 1, 0, kMax) != 1) m.refuse("decoder_sparse_step", "is not 1");
  if (m.has("mlp_only_layers") && m.array_size("mlp_only_layers") > 0) m.refuse("mlp_only_layers", "is not empty");
}

ModelConfig config(const Checkpoint& checkpoint) {
  ModelConfig c = decoder_config(checkpoint);
  c.rope.style = RopeStyle::kHalves;
  c.head_norms = c.attention_gate = c.shared_gate = true;
  read_experts(checkpoint, c);
  checkpoint.kind == CheckpointKind::kGguf ? read_gguf(checkpoint.metadata, c)
                                           : read_hugging_face(checkpoint.metadata, c);
  for (int32_t layer = 0; layer < c.layers; ++layer) {
    const std::string decay = tensor_name(Role::kDeltaDecay, layer, checkpoint);
    c.layer_attention.push_back({.delta = checkpoint.find(decay) != nullptr});
  }
  return c;
}

}  // namespace

constinit const ArchSpec kArchQwen3Next{"qwen3next",   kGgufNames, kHuggingFaceNames, config, decoder,
                                        "Qwen 3-Next", kNames};

}  // namespace tern
