// StarCoder 2: the Llama shape with layer norms, biases, and feed-forwards without a gate.
#include <array>

#include "model/archs/arch.h"
#include "model/archs/keys.h"
#include "model/blocks/transformer.h"

namespace tern {
namespace {

constexpr std::array<std::string_view, 1> kGgufNames{"starcoder2"};
constexpr std::array<std::string_view, 1> kHuggingFaceNames{"Starcoder2ForCausalLM"};
constexpr std::array kNames{
    RoleName{Role::kFfnUp, "blk.#.ffn_up.weight", "model.layers.#.mlp.c_fc.weight"},
    RoleName{Role::kFfnDown, "blk.#.ffn_down.weight", "model.layers.#.mlp.c_proj.weight"},
};

ModelConfig config(const Checkpoint& checkpoint) {
  ModelConfig c = decoder_config(checkpoint);
  const Metadata& metadata = checkpoint.metadata;
  c.rope.style = RopeStyle::kHalves;
  c.layer_norms = c.norm_bias = true;
  c.gated = false;
  const bool gguf = checkpoint.kind == CheckpointKind::kGguf;
  c.ffn_bias = c.qkv_bias = c.output_bias = gguf || metadata.boolean_or("use_bias", true);
  if (gguf) {
    c.activation = Activation::kGeluTanh;
  } else {
    c.window = metadata.integer_or("sliding_window", 0, 0, 1 << 24);
    c.tied_embeddings = metadata.boolean_or("tie_word_embeddings", true);
  }
  return c;
}

}  // namespace

constinit const ArchSpec kArchStarcoder2{"starcoder2",  kGgufNames, kHuggingFaceNames, config, decoder,
                                         "StarCoder 2", kNames};

}  // namespace tern
