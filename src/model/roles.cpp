#include "model/roles.h"

#include <array>

#include "core/error.h"

namespace tern {
namespace {

struct RoleRow {
  Role role;
  std::string_view name;
  std::string_view gguf;          // # stands for the layer
  std::string_view hugging_face;  // likewise; empty where that side has no such tensor
};

constexpr std::array kRoles{
    RoleRow{Role::kNone, "none", "", ""},
    RoleRow{Role::kTokenEmbedding, "token_embd", "token_embd.weight", "model.embed_tokens.weight"},
    RoleRow{Role::kPositions, "position_embd", "position_embd.weight", ""},
    RoleRow{Role::kTokenTypes, "token_types", "token_types.weight", ""},
    RoleRow{Role::kEmbeddingNorm, "token_embd_norm", "token_embd_norm.weight", ""},
    RoleRow{Role::kOutputNorm, "output_norm", "output_norm.weight", "model.norm.weight"},
    RoleRow{Role::kOutput, "output", "output.weight", "lm_head.weight"},
    RoleRow{Role::kAttentionNorm, "attn_norm", "blk.#.attn_norm.weight", "model.layers.#.input_layernorm.weight"},
    RoleRow{Role::kAttentionQ, "attn_q", "blk.#.attn_q.weight", "model.layers.#.self_attn.q_proj.weight"},
    RoleRow{Role::kAttentionK, "attn_k", "blk.#.attn_k.weight", "model.layers.#.self_attn.k_proj.weight"},
    RoleRow{Role::kAttentionV, "attn_v", "blk.#.attn_v.weight", "model.layers.#.self_attn.v_proj.weight"},
    RoleRow{Role::kAttentionQkv, "attn_qkv", "blk.#.attn_qkv.weight", "model.layers.#.self_attn.qkv_proj.weight"},
    RoleRow{Role::kAttentionQA, "attn_q_a", "blk.#.attn_q_a.weight", "model.layers.#.self_attn.q_a_proj.weight"},
    RoleRow{Role::kAttentionQANorm, "attn_q_a_norm", "blk.#.attn_q_a_norm.weight",
            "model.layers.#.self_attn.q_a_layernorm.weight"},
    RoleRow{Role::kAttentionQB, "attn_q_b", "blk.#.attn_q_b.weight", "model.layers.#.self_attn.q_b_proj.weight"},
    RoleRow{Role::kAttentionKvA, "attn_kv_a", "blk.#.attn_kv_a_mqa.weight",
            "model.layers.#.self_attn.kv_a_proj_with_mqa.weight"},
    RoleRow{Role::kAttentionKvANorm, "attn_kv_a_norm", "blk.#.attn_kv_a_norm.weight",
            "model.layers.#.self_attn.kv_a_layernorm.weight"},
    RoleRow{Role::kAttentionKB, "attn_k_b", "blk.#.attn_k_b.weight", ""},
    RoleRow{Role::kAttentionVB, "attn_v_b", "blk.#.attn_v_b.weight", ""},
    RoleRow{Role::kAttentionOut, "attn_out", "blk.#.attn_output.weight", "model.layers.#.self_attn.o_proj.weight"},
    RoleRow{Role::kAttentionQNorm, "attn_q_norm", "blk.#.attn_q_norm.weight", "model.layers.#.self_attn.q_norm.weight"},
    RoleRow{Role::kAttentionKNorm, "attn_k_norm", "blk.#.attn_k_norm.weight", "model.layers.#.self_attn.k_norm.weight"},
    RoleRow{Role::kAttentionSinks, "attn_sinks", "blk.#.attn_sinks.weight", "model.layers.#.self_attn.sinks"},
    RoleRow{Role::kAttentionPostNorm, "attn_post_norm", "blk.#.post_attention_norm.weight",
            "model.layers.#.post_attention_layernorm.weight"},
    RoleRow{Role::kConvIn, "conv_in", "blk.#.shortconv.in_proj.weight", "model.layers.#.conv.in_proj.weight"},
    RoleRow{Role::kConv, "conv", "blk.#.shortconv.conv.weight", "model.layers.#.conv.conv.weight"},
    RoleRow{Role::kConvOut, "conv_out", "blk.#.shortconv.out_proj.weight", "model.layers.#.conv.out_proj.weight"},
    RoleRow{Role::kDeltaIn, "delta_in", "blk.#.attn_qkv.weight", "model.layers.#.linear_attn.in_proj_qkvz.weight"},
    RoleRow{Role::kDeltaGate, "delta_gate", "blk.#.attn_gate.weight", ""},
    RoleRow{Role::kDeltaRates, "delta_rates", "blk.#.ssm_ba.weight", "model.layers.#.linear_attn.in_proj_ba.weight"},
    RoleRow{Role::kDeltaConv, "delta_conv", "blk.#.ssm_conv1d.weight", "model.layers.#.linear_attn.conv1d.weight"},
    RoleRow{Role::kDeltaDecay, "delta_decay", "blk.#.ssm_a", "model.layers.#.linear_attn.A_log"},
    RoleRow{Role::kDeltaBias, "delta_rates.bias", "blk.#.ssm_dt.bias", "model.layers.#.linear_attn.dt_bias"},
    RoleRow{Role::kDeltaNorm, "delta_norm", "blk.#.ssm_norm.weight", "model.layers.#.linear_attn.norm.weight"},
    RoleRow{Role::kDeltaOut, "delta_out", "blk.#.ssm_out.weight", "model.layers.#.linear_attn.out_proj.weight"},
    RoleRow{Role::kFfnNorm, "ffn_norm", "blk.#.ffn_norm.weight", "model.layers.#.post_attention_layernorm.weight"},
    RoleRow{Role::kFfnGate, "ffn_gate", "blk.#.ffn_gate.weight", "model.layers.#.mlp.gate_proj.weight"},
    RoleRow{Role::kFfnUp, "ffn_up", "blk.#.ffn_up.weight", "model.layers.#.mlp.up_proj.weight"},
    RoleRow{Role::kFfnGateUp, "ffn_gate_up", "blk.#.ffn_up.weight", "model.layers.#.mlp.gate_up_proj.weight"},
    RoleRow{Role::kFfnDown, "ffn_down", "blk.#.ffn_down.weight", "model.layers.#.mlp.down_proj.weight"},
    RoleRow{Role::kFfnPostNorm, "ffn_post_norm", "blk.#.post_ffw_norm.weight",
            "model.layers.#.post_feedforward_layernorm.weight"},
    RoleRow{Role::kRouter, "ffn_router", "blk.#.ffn_gate_inp.weight", "model.layers.#.mlp.gate.weight"},
    RoleRow{Role::kChoiceBias, "ffn_router_choice.bias", "blk.#.exp_probs_b.bias",
            "model.layers.#.mlp.gate.e_score_correction_bias"},
    RoleRow{Role::kExpertGate, "ffn_gate_experts", "blk.#.ffn_gate_exps.weight",
            "model.layers.#.mlp.experts.@.gate_proj.weight"},
    RoleRow{Role::kExpertUp, "ffn_up_experts", "blk.#.ffn_up_exps.weight",
            "model.layers.#.mlp.experts.@.up_proj.weight"},
    RoleRow{Role::kExpertDown, "ffn_down_experts", "blk.#.ffn_down_exps.weight",
            "model.layers.#.mlp.experts.@.down_proj.weight"},
    RoleRow{Role::kSharedGate, "ffn_gate_shared", "blk.#.ffn_gate_shexp.weight",
            "model.layers.#.mlp.shared_experts.gate_proj.weight"},
    RoleRow{Role::kSharedUp, "ffn_up_shared", "blk.#.ffn_up_shexp.weight",
            "model.layers.#.mlp.shared_experts.up_proj.weight"},
    RoleRow{Role::kSharedDown, "ffn_down_shared", "blk.#.ffn_down_shexp.weight",
            "model.layers.#.mlp.shared_experts.down_proj.weight"},
    RoleRow{Role::kSharedRouter, "ffn_router_shared", "blk.#.ffn_gate_inp_shexp.weight",
            "model.layers.#.mlp.shared_expert_gate.weight"},
    RoleRow{Role::kRopeFactors, "rope_freqs", "rope_freqs.weight", ""},
};

const RoleRow& row_of(Role role) {
  const RoleRow& row = kRoles.at(static_cast<size_t>(role));
  TERN_CHECK(row.role == role, std::string(row.name));
  return row;
}

}  // namespace

std::string_view name_of(Role role) { return row_of(role).name; }

std::string tensor_name(Role role, int32_t layer, CheckpointKind kind) {
  return layer_name(tensor_pattern(role, kind), layer);
}

std::string_view tensor_pattern(Role role, CheckpointKind kind) {
  const RoleRow& row = row_of(role);
  return kind == CheckpointKind::kGguf ? row.gguf : row.hugging_face;
}

std::string bias_name(std::string weight_name) {
  constexpr std::string_view kWeight = ".weight";
  if (!weight_name.ends_with(kWeight)) return weight_name + "_bias";
  return weight_name.replace(weight_name.size() - kWeight.size(), kWeight.size(), ".bias");
}

std::string layer_name(std::string_view pattern, int32_t layer) {
  std::string name(pattern);
  if (const size_t at = name.find('#'); at != std::string::npos) name.replace(at, 1, std::to_string(layer));
  return name;
}

}  // namespace tern
