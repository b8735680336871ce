// Granite 3, dense: the Llama shape with a multiplier each for embeddings, scores, what layers add, and logits.
#include <array>

#include "model/archs/arch.h"
#include "model/archs/keys.h"
#include "model/blocks/transformer.h"

namespace tern {
namespace {

constexpr std::array<std::string_view, 1> kGgufNames{"granite"};
constexpr std::array<std::string_view, 1> kHuggingFaceNames{"GraniteForCausalLM"};

ModelConfig config(const Checkpoint& checkpoint) {
  ModelConfig c = decoder_config(checkpoint);
  const Metadata& metadata = checkpoint.metadata;
  const auto factor = [&](const char* gguf, const char* hugging_face) {
    const char* key = checkpoint.kind == CheckpointKind::kGguf ? gguf : hugging_face;
    return static_cast<float>(metadata.number_or(key, 1.0));
  };
  c.embedding_scale = factor("granite.embedding_scale", "embedding_multiplier");
  c.attention_scale = factor("granite.attention.scale", "attention_multiplier");
  c.residual_scale = factor("granite.residual_scale", "residual_multiplier");
  c.logit_scale = 1.0f / factor("granite.logit_scale", "logits_scaling");
  if (checkpoint.kind == CheckpointKind::kGguf) {
    c.rope.style = RopeStyle::kInterleaved;
  } else {
    c.qkv_bias = c.output_bias = metadata.boolean_or("attention_bias", false);
    refuse_flag(metadata, "mlp_bias");
  }
  return c;
}

}  // namespace

constinit const ArchSpec kArchGranite{"granite", kGgufNames, kHuggingFaceNames, config, decoder, "Granite 3 (dense)"};

}  // namespace tern
