// Qwen 3, dense: the Qwen 2 shape without biases, with a norm of each head of q and k before they rotate.
#include <array>

#include "model/archs/arch.h"
#include "model/archs/keys.h"
#include "model/blocks/transformer.h"

namespace tern {
namespace {

constexpr std::array<std::string_view, 1> kGgufNames{"qwen3"};
constexpr std::array<std::string_view, 1> kHuggingFaceNames{"Qwen3ForCausalLM"};

ModelConfig config(const Checkpoint& checkpoint) {
  ModelConfig c = decoder_config(checkpoint);
  c.rope.style = RopeStyle::kHalves;
  c.head_norms = true;
  if (checkpoint.kind == CheckpointKind::kHuggingFace) {
    c.qkv_bias = c.output_bias = checkpoint.metadata.boolean_or("attention_bias", false);
    refuse_flag(checkpoint.metadata, "use_sliding_window");
  }
  return c;
}

}  // namespace

constinit const ArchSpec kArchQwen3{"qwen3", kGgufNames, kHuggingFaceNames, config, decoder, "Qwen 3"};

}  // namespace tern
