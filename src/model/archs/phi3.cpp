// Phi 3, 3.5 and 4 (dense): the Llama shape with q, k and v in one tensor, gate and up in another, and LongRoPE.
#include <array>

#include "model/archs/arch.h"
#include "model/archs/keys.h"
#include "model/blocks/transformer.h"

namespace tern {
namespace {

constexpr std::array<std::string_view, 1> kGgufNames{"phi3"};
constexpr std::array<std::string_view, 1> kHuggingFaceNames{"Phi3ForCausalLM"};

ModelConfig config(const Checkpoint& checkpoint) {
  ModelConfig c = decoder_config(checkpoint);
  c.rope.style = RopeStyle::kHalves;
  c.fused_projections = true;
  if (checkpoint.kind == CheckpointKind::kHuggingFace) {
    c.window = checkpoint.metadata.integer_or("sliding_window", 0, 0, 1 << 24);
    refuse_flag(checkpoint.metadata, "attention_bias");
  }
  return c;
}

}  // namespace

constinit const ArchSpec kArchPhi3{"phi3", kGgufNames, kHuggingFaceNames, config, decoder, "Phi 3, Phi 3.5, Phi 4"};

}  // namespace tern
