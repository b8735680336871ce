// Qwen 2 and 2.5: the Llama shape with biases on q, k and v, rotating halves in both kinds of checkpoint.
#include <array>

#include "model/archs/arch.h"
#include "model/archs/keys.h"
#include "model/blocks/transformer.h"

namespace tern {
namespace {

constexpr std::array<std::string_view, 1> kGgufNames{"qwen2"};
constexpr std::array<std::string_view, 1> kHuggingFaceNames{"Qwen2ForCausalLM"};

ModelConfig config(const Checkpoint& checkpoint) {
  ModelConfig c = decoder_config(checkpoint);
  c.rope.style = RopeStyle::kHalves;
  c.qkv_bias = true;
  if (checkpoint.kind == CheckpointKind::kHuggingFace && checkpoint.metadata.boolean_or("use_sliding_window", false)) {
    checkpoint.metadata.refuse("use_sliding_window", "windows in some layers only are not supported yet");
  }
  return c;
}

}  // namespace

constinit const ArchSpec kArchQwen2{"qwen2", kGgufNames, kHuggingFaceNames, config, decoder, "Qwen 2, Qwen 2.5"};

}  // namespace tern
