#include "model/archs/keys.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <variant>

#include "core/error.h"
#include "core/limits.h"
#include "model/archs/arch.h"
#include "model/roles.h"
#include "model/weights.h"

namespace tern {
namespace {

constexpr auto kDimMax = static_cast<int64_t>(Limits::kModelDim);
constexpr auto kContextMax = static_cast<int64_t>(Limits::kContext);

// The metadata of a GGUF file, seen under its architecture's prefix.
class GgufKeys {
 public:
  explicit GgufKeys(const Metadata& metadata)
      : metadata_(metadata), prefix_(std::string(metadata.string("general.architecture")) + ".") {}

  int64_t required(const char* key, int64_t max) const { return metadata_.integer(prefix_ + key, 1, max); }
  int64_t optional(const char* key, int64_t fallback, int64_t max) const {
    return metadata_.integer_or(prefix_ + key, fallback, 0, max);
  }
  // Of one number for all layers, or one a layer: the largest.
  int64_t most(const char* key, int64_t fallback) const {
    const MetadataValue* said = metadata_.find(prefix_ + key);
    if (said == nullptr || !std::holds_alternative<MetadataArray>(said->value)) return optional(key, fallback, kDimMax);
    int64_t largest = 0;
    for (const int64_t value : metadata_.integers(prefix_ + key)) largest = std::max(largest, value);
    return largest;
  }
  double number_or(const char* key, double fallback) const { return metadata_.number_or(prefix_ + key, fallback); }
  bool has(const char* key) const { return metadata_.has(prefix_ + key); }
  double number(const char* key) const { return metadata_.number(prefix_ + key); }
  std::string_view string_or(const char* key, std::string_view fallback) const {
    return metadata_.string_or(prefix_ + key, fallback);
  }
  [[noreturn]] void refuse(const char* key, const std::string& reason) const {
    metadata_.refuse(prefix_ + key, reason);
  }

 private:
  const Metadata& metadata_;
  std::string prefix_;
};

void read_gguf_rope(const Checkpoint& checkpoint, const GgufKeys& keys, ModelConfig& config) {
  RopeConfig& rope = config.rope;
  rope.theta = keys.number_or("rope.freq_base", 10000.0);
  rope.dims = keys.optional("rope.dimension_count", config.head_dim, kDimMax);
  rope.original_context = keys.optional("rope.scaling.original_context_length", config.context, kContextMax);
  const std::string_view type = keys.string_or("rope.scaling.type", "none");
  rope.factor = keys.number_or("rope.scaling.factor", keys.number_or("rope.scale_linear", 1.0));
  if (type == "linear" || (type == "none" && rope.factor != 1.0)) {
    rope.scaling = RopeScaling::kLinear;
  } else if (type == "yarn") {
    rope.scaling = RopeScaling::kYarn;
    rope.beta_fast = keys.number_or("rope.scaling.yarn_beta_fast", 32.0);
    rope.beta_slow = keys.number_or("rope.scaling.yarn_beta_slow", 1.0);
    rope.attention_factor = keys.number_or("rope.scaling.attn_factor", 1.0) * yarn_magnitude(rope.factor);
  } else if (type != "none") {
    keys.refuse("rope.scaling.type", "\"" + printable(type) + "\" is not supported; known: none, linear, yarn");
  }
  const TensorInfo* far = checkpoint.find("rope_factors_long.weight");
  if (far != nullptr) {
    rope.scaling = RopeScaling::kLong;
    rope.long_factors = decode_tensor(*far);
    rope.short_factors = decode_tensor(checkpoint.tensor("rope_factors_short.weight"));
    rope.attention_factor = keys.number_or("rope.scaling.attn_factor", 1.0);
  }
  if (checkpoint.find(tensor_name(Role::kRopeFactors, -1, CheckpointKind::kGguf)) != nullptr) {
    rope.scaling = RopeScaling::kFactors;
  }
}

ModelConfig from_gguf(const Checkpoint& checkpoint) {
  const GgufKeys keys(checkpoint.metadata);
  ModelConfig config;
  config.model_name = std::string(checkpoint.metadata.string_or("general.name", ""));
  config.layers = keys.required("block_count", static_cast<int64_t>(Limits::kLayers));
  config.hidden = keys.required("embedding_length", kDimMax);
  config.ffn = keys.required("feed_forward_length", kDimMax);
  config.heads = keys.required("attention.head_count", kDimMax);
  config.kv_heads = keys.most("attention.head_count_kv", config.heads);
  config.head_dim = keys.optional("attention.key_length", config.hidden / config.heads, kDimMax);
  const bool latent = keys.optional("attention.kv_lora_rank", 0, kDimMax) > 0;  // whose values are a part of its keys
  if (!latent && keys.optional("attention.value_length", config.head_dim, kDimMax) != config.head_dim) {
    keys.refuse("attention.value_length", "differs from attention.key_length, which is not supported");
  }
  config.context = keys.required("context_length", kContextMax);
  config.window = keys.optional("attention.sliding_window", 0, kContextMax);
  config.norm_eps =
      static_cast<float>(keys.has("attention.layer_norm_epsilon") ? keys.number("attention.layer_norm_epsilon")
                                                                  : keys.number("attention.layer_norm_rms_epsilon"));
  config.tied_embeddings = checkpoint.find(tensor_name(Role::kOutput, -1, CheckpointKind::kGguf)) == nullptr;
  read_gguf_rope(checkpoint, keys, config);
  return config;
}

std::vector<float> factors_of(const Metadata& metadata, const std::string& key) {
  std::vector<float> out;
  for (double factor : metadata.numbers(key)) out.push_back(static_cast<float>(factor));
  return out;
}

void read_long_rope(const Metadata& metadata, const std::string& group, const ModelConfig& config, RopeConfig& rope) {
  rope.scaling = RopeScaling::kLong;
  rope.short_factors = factors_of(metadata, group + "short_factor");
  rope.long_factors = factors_of(metadata, group + "long_factor");
  // Phi's files say it beside the group.
  rope.original_context =
      metadata.integer_or("original_max_position_embeddings", rope.original_context, 1, kContextMax);
  const auto original = static_cast<double>(rope.original_context);
  const double factor = metadata.number_or(group + "factor", static_cast<double>(config.context) / original);
  const double by_formula = factor > 1 ? std::sqrt(1 + std::log(factor) / std::log(original)) : 1.0;
  rope.attention_factor = metadata.number_or(group + "attention_factor", by_formula);
}

void read_hugging_face_rope(const Metadata& metadata, ModelConfig& config) {
  RopeConfig& rope = config.rope;
  // transformers 5 keeps everything under rope_parameters; before, rope_theta and rope_scaling stood apart.
  // Models with two rotations name that of whole attention there.
  const std::string full = "rope_parameters.full_attention.";
  const std::string group = metadata.has(full + "rope_theta") ? full
                            : metadata.has("rope_parameters.rope_type") || metadata.has("rope_parameters.rope_theta")
                                ? "rope_parameters."
                                : "rope_scaling.";
  rope.style = RopeStyle::kHalves;
  const double share =
      metadata.number_or(group + "partial_rotary_factor", metadata.number_or("partial_rotary_factor", 1));
  if (!(share > 0 && share <= 1)) metadata.refuse("partial_rotary_factor", "is not in (0, 1]");
  rope.dims = static_cast<int64_t>(static_cast<double>(config.head_dim) * share);
  rope.theta = metadata.number_or(group + "rope_theta", metadata.number_or("rope_theta", 10000.0));
  const std::string_view type = metadata.string_or(group + "rope_type", metadata.string_or(group + "type", "default"));
  rope.factor = metadata.number_or(group + "factor", 1.0);
  rope.original_context =
      metadata.integer_or(group + "original_max_position_embeddings", config.context, 1, kContextMax);
  if (type == "linear") {
    rope.scaling = RopeScaling::kLinear;
  } else if (type == "llama3") {
    rope.scaling = RopeScaling::kLlama3;
    rope.low_frequency_factor = metadata.number(group + "low_freq_factor");
    rope.high_frequency_factor = metadata.number(group + "high_freq_factor");
  } else if (type == "yarn") {
    rope.scaling = RopeScaling::kYarn;
    rope.beta_fast = metadata.number_or(group + "beta_fast", 32.0);
    rope.beta_slow = metadata.number_or(group + "beta_slow", 1.0);
    rope.yarn_whole_pairs = metadata.boolean_or(group + "truncate", true);
    const double scale = metadata.number_or(group + "mscale", 0), all = metadata.number_or(group + "mscale_all_dim", 0);
    const double by_formula = scale != 0 && all != 0
                                  ? yarn_magnitude(rope.factor, scale) / yarn_magnitude(rope.factor, all)
                                  : yarn_magnitude(rope.factor);
    rope.attention_factor = metadata.number_or(group + "attention_factor", by_formula);
  } else if (type == "longrope" || type == "su") {
    read_long_rope(metadata, group, config, rope);
  } else if (type != "default") {
    metadata.refuse(group + "rope_type",
                    "\"" + printable(type) + "\" is not supported; known: default, linear, llama3, yarn, longrope");
  }
}

// The name under which the file says it; the first of them where it does not.
const char* said(const Metadata& metadata, std::initializer_list<const char*> names) {
  const auto* at = std::find_if(names.begin(), names.end(), [&](const char* name) { return metadata.has(name); });
  return at == names.end() ? *names.begin() : *at;
}

Activation activation_of(const Metadata& metadata) {
  struct Row {
    std::string_view name;
    Activation activation;
  };
  constexpr std::array kRows{Row{"silu", Activation::kSilu}, Row{"gelu", Activation::kGelu},
                             Row{"gelu_new", Activation::kGeluTanh}, Row{"gelu_pytorch_tanh", Activation::kGeluTanh}};
  const char* key = said(metadata, {"hidden_act", "hidden_activation", "activation_function"});
  const std::string_view name = metadata.string_or(key, "silu");
  std::string known;
  for (const Row& row : kRows) {
    if (row.name == name) return row.activation;
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  metadata.refuse(key, "\"" + printable(name) + "\" is not supported; known: " + known);
}

ModelConfig from_hugging_face(const Checkpoint& checkpoint) {
  const Metadata& metadata = checkpoint.metadata;
  ModelConfig config;
  config.model_name = std::string(metadata.string_or("_name_or_path", ""));
  const auto of = [&](std::initializer_list<const char*> names) { return said(metadata, names); };
  config.layers = metadata.integer(of({"num_hidden_layers", "n_layer"}), 1, static_cast<int64_t>(Limits::kLayers));
  config.hidden = metadata.integer(of({"hidden_size", "n_embd"}), 1, kDimMax);
  config.ffn = metadata.integer_or(of({"intermediate_size", "n_inner"}), 4 * config.hidden, 1, kDimMax);
  config.heads = metadata.integer(of({"num_attention_heads", "n_head"}), 1, kDimMax);
  config.kv_heads = metadata.integer_or("num_key_value_heads", config.heads, 1, kDimMax);
  config.head_dim = metadata.integer_or("head_dim", config.hidden / config.heads, 1, kDimMax);
  config.context = metadata.integer(of({"max_position_embeddings", "n_positions"}), 1, kContextMax);
  config.norm_eps = static_cast<float>(
      metadata.number(of({"rms_norm_eps", "layer_norm_eps", "norm_epsilon", "layer_norm_epsilon", "norm_eps"})));
  config.tied_embeddings = metadata.boolean_or("tie_word_embeddings", false);
  config.activation = activation_of(metadata);
  read_hugging_face_rope(metadata, config);
  return config;
}

}  // namespace

ModelConfig decoder_config(const Checkpoint& checkpoint) {
  ModelConfig config = checkpoint.kind == CheckpointKind::kGguf ? from_gguf(checkpoint) : from_hugging_face(checkpoint);
  const std::string embedding = tensor_name(Role::kTokenEmbedding, -1, checkpoint);
  config.vocabulary = checkpoint.tensor(embedding).rows();
  const char* key = checkpoint.kind == CheckpointKind::kGguf ? "tokenizer.ggml.tokens" : "vocab_size";
  if (checkpoint.metadata.has(key)) {
    const int64_t said = checkpoint.kind == CheckpointKind::kGguf
                             ? static_cast<int64_t>(checkpoint.metadata.array_size(key))
                             : checkpoint.metadata.integer(key, 1, static_cast<int64_t>(Limits::kVocabulary));
    if (said != config.vocabulary) {
      checkpoint.metadata.refuse(key, "has " + std::to_string(said) + " entries, but " + embedding + " has " +
                                          std::to_string(config.vocabulary) + " rows");
    }
  }
  return config;
}

double yarn_magnitude(double factor, double scale) { return factor > 1 ? 0.1 * scale * std::log(factor) + 1 : 1; }

void refuse_flag(const Metadata& metadata, const char* key) {
  if (metadata.boolean_or(key, false)) metadata.refuse(key, "is not supported yet");
}

void read_layer_types(const Checkpoint& checkpoint, ModelConfig& config) {
  const Metadata& metadata = checkpoint.metadata;
  if (checkpoint.kind != CheckpointKind::kHuggingFace || !metadata.has("layer_types")) return;
  config.layer_attention.clear();
  for (std::string_view type : metadata.strings("layer_types")) {
    if (type != "sliding_attention" && type != "full_attention") {
      metadata.refuse("layer_types", "\"" + printable(type) +
                                         "\" is not supported; known: sliding_attention, "
                                         "full_attention");
    }
    config.layer_attention.push_back({.window = type == "sliding_attention" ? config.window : 0, .rope = 0});
  }
}

void read_experts(const Checkpoint& checkpoint, ModelConfig& config) {
  const Metadata& metadata = checkpoint.metadata;
  if (checkpoint.kind == CheckpointKind::kGguf) {
    const GgufKeys keys(metadata);
    config.route.experts = keys.optional("expert_count", 0, kMaxExperts);
    if (config.route.experts == 0) return;
    config.route.used = keys.required("expert_used_count", kDimMax);
    config.expert_ffn = keys.optional("expert_feed_forward_length", config.ffn, kDimMax);
  } else {
    for (const char* key : {"num_experts", "num_local_experts", "n_routed_experts"}) {
      config.route.experts = std::max(config.route.experts, metadata.integer_or(key, 0, 0, kMaxExperts));
    }
    if (config.route.experts == 0) return;
    config.route.used = metadata.integer("num_experts_per_tok", 1, kDimMax);
    config.expert_ffn = metadata.integer_or("moe_intermediate_size", config.ffn, 1, kDimMax);
  }
  config.route.normalized = true;
}

void read_local_rope(const Metadata& metadata, ModelConfig& config) {
  config.local_rope = config.rope;
  config.local_rope.scaling = RopeScaling::kNone;
  const std::string group = "rope_parameters.sliding_attention.";
  config.local_rope.theta = metadata.number_or(group + "rope_theta", metadata.number_or("rope_local_base_freq", 10000));
  const std::string_view type = metadata.string_or(group + "rope_type", "default");
  if (type != "default") metadata.refuse(group + "rope_type", "\"" + printable(type) + "\" is not supported");
}

}  // namespace tern
