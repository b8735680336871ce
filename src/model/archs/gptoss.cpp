// gpt-oss: a window in every other layer, a sink for each head's scores, experts of clamped gated products with biases.
#include <array>

#include "model/archs/arch.h"
#include "model/archs/keys.h"
#include "model/blocks/transformer.h"

namespace tern {
namespace {

constexpr std::array<std::string_view, 1> kGgufNames{"gpt-oss"};
constexpr std::array<std::string_view, 1> kHuggingFaceNames{"GptOssForCausalLM"};
constexpr StoredForm kGate{.transposed = true, .step = 2, .first = 0};
constexpr StoredForm kUp{.transposed = true, .step = 2, .first = 1};
constexpr std::array kNames{
    RoleName{Role::kFfnNorm, "blk.#.post_attention_norm.weight", "model.layers.#.post_attention_layernorm.weight"},
    RoleName{Role::kRouter, "blk.#.ffn_gate_inp.weight", "model.layers.#.mlp.router.weight"},
    RoleName{Role::kExpertGate, "blk.#.ffn_gate_exps.weight", "model.layers.#.mlp.experts.gate_up_proj", kGate},
    RoleName{Role::kExpertUp, "blk.#.ffn_up_exps.weight", "model.layers.#.mlp.experts.gate_up_proj", kUp},
    RoleName{Role::kExpertDown, "blk.#.ffn_down_exps.weight", "model.layers.#.mlp.experts.down_proj", {true, 1, 0}},
};

ModelConfig config(const Checkpoint& checkpoint) {
  ModelConfig c = decoder_config(checkpoint);
  const Metadata& metadata = checkpoint.metadata;
  c.rope.style = RopeStyle::kHalves;
  c.rope.yarn_whole_pairs = false;  // GGUF files do not say it
  c.activation = Activation::kClampedSwiglu;
  c.attention_sinks = c.router_bias = c.expert_bias = c.qkv_bias = c.output_bias = true;
  read_experts(checkpoint, c);
  if (checkpoint.kind == CheckpointKind::kHuggingFace) {
    c.window = metadata.integer_or("sliding_window", 0, 0, 1 << 24);
    c.qkv_bias = c.output_bias = metadata.boolean_or("attention_bias", true);
    if (static_cast<float>(metadata.number_or("swiglu_alpha", 1.702)) != kClampedSwigluSlope ||
        static_cast<float>(metadata.number_or("swiglu_limit", 7)) != kClampedSwigluLimit) {
      metadata.refuse("swiglu_limit", "only 7, with a swiglu_alpha of 1.702, is supported");
    }
  }
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    c.layer_attention.push_back({.window = layer % 2 == 0 ? c.window : 0, .rope = 0});
  }
  read_layer_types(checkpoint, c);
  c.window = 0;
  return c;
}

}  // namespace

constinit const ArchSpec kArchGptOss{"gpt-oss", kGgufNames, kHuggingFaceNames, config, decoder, "gpt-oss", kNames};

}  // namespace tern
