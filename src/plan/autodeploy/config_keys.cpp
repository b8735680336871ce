#include "plan/autodeploy/config_keys.h"

#include <algorithm>
#include <array>

#include "core/error.h"

namespace tern {
namespace {

struct Alias {
  std::string_view other, name;
};

constexpr Alias kAliases[] = {
    {"n_layer", "num_hidden_layers"},
    {"n_layers", "num_hidden_layers"},
    {"num_layers", "num_hidden_layers"},
    {"n_embd", "hidden_size"},
    {"d_model", "hidden_size"},
    {"ffn_dim", "intermediate_size"},
    {"ffn_hidden_size", "intermediate_size"},
    {"n_head", "num_attention_heads"},
    {"n_heads", "num_attention_heads"},
    {"num_heads", "num_attention_heads"},
    {"n_kv_heads", "num_key_value_heads"},
    {"num_kv_heads", "num_key_value_heads"},
    {"n_positions", "max_position_embeddings"},
    {"max_seq_len", "max_position_embeddings"},
    {"activation_function", "hidden_act"},
    {"n_inner", "intermediate_size"},
    {"norm_epsilon", "layer_norm_eps"},
    {"layer_norm_epsilon", "layer_norm_eps"},
};

constexpr std::string_view kRead[] = {"num_hidden_layers",
                                      "hidden_size",
                                      "intermediate_size",
                                      "num_attention_heads",
                                      "num_key_value_heads",
                                      "head_dim",
                                      "max_position_embeddings",
                                      "rms_norm_eps",
                                      "layer_norm_eps",
                                      "norm_eps",
                                      "hidden_act",
                                      "hidden_activation",
                                      "tie_word_embeddings",
                                      "vocab_size",
                                      "attention_bias",
                                      "mlp_bias",
                                      "use_bias",
                                      "rope_theta",
                                      "rope_local_base_freq",
                                      "partial_rotary_factor",
                                      "original_max_position_embeddings",
                                      "sliding_window",
                                      "use_sliding_window",
                                      "layer_types",
                                      "no_rope_layers",
                                      "num_experts",
                                      "num_local_experts",
                                      "num_experts_per_tok",
                                      "moe_intermediate_size",
                                      "norm_topk_prob",
                                      "query_pre_attn_scalar",
                                      "attn_logit_softcapping",
                                      "final_logit_softcapping",
                                      "embedding_multiplier",
                                      "attention_multiplier",
                                      "residual_multiplier",
                                      "logits_scaling",
                                      "logit_scale"};

// Said of one rotation, under rope_scaling, rope_parameters and rope_parameters.full_attention.
constexpr std::string_view kReadOfRope[] = {"rope_theta",
                                            "rope_type",
                                            "type",
                                            "factor",
                                            "original_max_position_embeddings",
                                            "low_freq_factor",
                                            "high_freq_factor",
                                            "beta_fast",
                                            "beta_slow",
                                            "attention_factor",
                                            "long_factor",
                                            "short_factor",
                                            "partial_rotary_factor"};
constexpr std::string_view kRopeGroups[] = {"rope_parameters.full_attention.", "rope_parameters.", "rope_scaling."};

// About training, tokens, generation, or what the others already say.
constexpr std::string_view kHarmless[] = {"architectures",
                                          "model_type",
                                          "torch_dtype",
                                          "dtype",
                                          "format",
                                          "_name_or_path",
                                          "transformers_version",
                                          "bos_token_id",
                                          "eos_token_id",
                                          "pad_token_id",
                                          "unk_token_id",
                                          "sep_token_id",
                                          "use_cache",
                                          "initializer_range",
                                          "attention_dropout",
                                          "hidden_dropout",
                                          "embd_pdrop",
                                          "resid_pdrop",
                                          "embedding_dropout",
                                          "residual_dropout",
                                          "attn_pdrop",
                                          "output_router_logits",
                                          "router_aux_loss_coef",
                                          "router_jitter_noise",
                                          "max_window_layers",
                                          "no_rope_layer_interval",
                                          "sliding_window_pattern",
                                          "_sliding_window_pattern"};
constexpr std::string_view kHarmlessGroups[] = {"__metadata__.", "generation_config.", "tokenizer_config.",
                                                "tokenizer.",    "auto_map.",          "summary_"};

constexpr std::string_view kReadOfGguf[] = {"block_count",
                                            "context_length",
                                            "embedding_length",
                                            "feed_forward_length",
                                            "attention.head_count",
                                            "attention.head_count_kv",
                                            "attention.key_length",
                                            "attention.value_length",
                                            "attention.layer_norm_rms_epsilon",
                                            "attention.layer_norm_epsilon",
                                            "attention.sliding_window",
                                            "attention.scale",
                                            "rope.freq_base",
                                            "rope.dimension_count",
                                            "rope.scaling.type",
                                            "rope.scaling.factor",
                                            "rope.scaling.original_context_length",
                                            "rope.scaling.attn_factor",
                                            "rope.scaling.yarn_beta_fast",
                                            "rope.scaling.yarn_beta_slow",
                                            "rope.scale_linear",
                                            "expert_count",
                                            "expert_used_count",
                                            "expert_feed_forward_length",
                                            "embedding_scale",
                                            "residual_scale",
                                            "logit_scale",
                                            "attn_logit_softcapping",
                                            "final_logit_softcapping",
                                            "vocab_size"};

template <typename List>
bool in(const List& list, std::string_view key) {
  return std::find(std::begin(list), std::end(list), key) != std::end(list);
}

template <typename List>
bool begins(const List& list, std::string_view key) {
  return std::any_of(std::begin(list), std::end(list), [&](std::string_view group) { return key.starts_with(group); });
}

bool reads_of_rope(std::string_view key) {
  constexpr std::string_view kWindow = "rope_parameters.sliding_attention.";
  if (key.starts_with(kWindow))
    return in(std::array<std::string_view, 2>{"rope_theta", "rope_type"}, key.substr(kWindow.size()));
  return std::any_of(std::begin(kRopeGroups), std::end(kRopeGroups), [&](std::string_view group) {
    return key.starts_with(group) && in(kReadOfRope, key.substr(group.size()));
  });
}

// Keys of features that are off where they are false.
constexpr std::string_view kFlags[] = {"use_bidirectional_attention", "use_qk_norm", "add_cross_attention",
                                       "scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn"};

// Keys of features that are off at these values, and are not read otherwise.
bool off(const Metadata& metadata, const std::string& key) {
  if (in(kFlags, key)) return !metadata.boolean(key);
  if (key == "scale_attn_weights") return metadata.boolean(key);
  if (key == "pretraining_tp" || key == "decoder_sparse_step") return metadata.integer(key, 0, INT32_MAX) == 1;
  if (key == "rotary_pct") return metadata.number(key) == 1;
  if (key == "n_ctx") return metadata.integer(key, 0, INT32_MAX) == metadata.integer_or("n_positions", 0, 0, INT32_MAX);
  return key == "mlp_only_layers" && metadata.array_size(key) == 0;
}

void add(UnderstoodMetadata& out, std::string name, const MetadataValue& value, const std::string& key) {
  if (out.metadata.has(name)) {
    out.doubts.push_back("key " + printable(key) + ": " + name + " is said twice");
  } else {
    out.metadata.set(std::move(name), value);
  }
}

void understand_hugging_face(const Metadata& from, UnderstoodMetadata& out) {
  for (const std::string& key : from.keys()) {
    const auto* alias =
        std::find_if(std::begin(kAliases), std::end(kAliases), [&](const Alias& row) { return row.other == key; });
    if (alias != std::end(kAliases)) {
      add(out, std::string(alias->name), *from.find(key), key);
    } else if (begins(kHarmlessGroups, key) || in(kRead, key) || reads_of_rope(key)) {
      add(out, key, *from.find(key), key);
    } else if (!in(kHarmless, key) && !off(from, key)) {
      out.doubts.push_back("key " + printable(key) + ": what it says is not understood");
    }
  }
}

void understand_gguf(const Metadata& from, UnderstoodMetadata& out) {
  const std::string prefix = std::string(from.string("general.architecture")) + ".";
  for (const std::string& key : from.keys()) {
    if (key == "general.architecture") {
      out.metadata.set(key, {std::string_view("inferred")});
    } else if (!key.starts_with(prefix)) {
      out.metadata.set(key, *from.find(key));
    } else if (in(kReadOfGguf, key.substr(prefix.size()))) {
      out.metadata.set("inferred." + key.substr(prefix.size()), *from.find(key));
    } else {
      out.doubts.push_back("key " + printable(key) + ": what it says is not understood");
    }
  }
}

}  // namespace

UnderstoodMetadata understand(const Checkpoint& checkpoint) {
  UnderstoodMetadata out{Metadata(checkpoint.metadata.source()), {}};
  if (checkpoint.kind == CheckpointKind::kGguf) {
    understand_gguf(checkpoint.metadata, out);
  } else {
    understand_hugging_face(checkpoint.metadata, out);
  }
  return out;
}

}  // namespace tern
