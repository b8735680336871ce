// The Llama family: Llama 1 to 3.x, Mistral, SmolLM2. Pre-norm decoder with grouped-query attention, rotary positions
// and a SiLU-gated feed-forward. GGUF files hold q and k permuted for interleaved rotation; Hugging Face files do not.
#include <array>

#include "core/error.h"
#include "model/archs/arch.h"
#include "model/archs/keys.h"
#include "model/blocks/transformer.h"

namespace tern {
namespace {

constexpr std::array<std::string_view, 1> kGgufNames{"llama"};
constexpr std::array<std::string_view, 3> kHuggingFaceNames{"LlamaForCausalLM", "MistralForCausalLM",
                                                            "Mistral3ForConditionalGeneration"};

ModelConfig config(const Checkpoint& checkpoint) {
  ModelConfig c = decoder_config(checkpoint);
  if (checkpoint.kind == CheckpointKind::kGguf) {
    c.rope.style = RopeStyle::kInterleaved;
    read_experts(checkpoint, c);  // Mixtral
  } else {
    c.qkv_bias = c.output_bias = checkpoint.metadata.boolean_or("attention_bias", false);
    if (checkpoint.metadata.boolean_or("mlp_bias", false))
      checkpoint.metadata.refuse("mlp_bias", "is not supported yet");
    if (checkpoint.metadata.has("rope_parameters.llama_4_scaling_beta"))
      checkpoint.metadata.refuse("rope_parameters.llama_4_scaling_beta", "is not supported yet");
    c.window = checkpoint.metadata.integer_or("sliding_window", 0, 0, 1 << 24);
  }
  return c;
}

}  // namespace

constinit const ArchSpec kArchLlama{"llama", kGgufNames, kHuggingFaceNames,
                                    config,  decoder,    "Llama 1 to 3.3, Mistral, Mixtral, SmolLM2, Falcon 3"};

}  // namespace tern
