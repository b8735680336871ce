// SmolLM 3: the Llama shape where every fourth layer does not rotate positions. GGUF files do not say which; Hugging
// Face files hold one number a layer, 1 where positions rotate.
#include <array>

#include "model/archs/arch.h"
#include "model/archs/keys.h"
#include "model/blocks/transformer.h"

namespace tern {
namespace {

constexpr std::array<std::string_view, 1> kGgufNames{"smollm3"};
constexpr std::array<std::string_view, 1> kHuggingFaceNames{"SmolLM3ForCausalLM"};

ModelConfig config(const Checkpoint& checkpoint) {
  ModelConfig c = decoder_config(checkpoint);
  const Metadata& metadata = checkpoint.metadata;
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    c.layer_attention.push_back({.window = 0, .rope = layer % 4 == 3 ? -1 : 0});
  }
  if (checkpoint.kind == CheckpointKind::kGguf) {
    c.rope.style = RopeStyle::kInterleaved;
    return c;
  }
  c.qkv_bias = c.output_bias = metadata.boolean_or("attention_bias", false);
  refuse_flag(metadata, "mlp_bias");
  refuse_flag(metadata, "use_sliding_window");
  if (metadata.has("no_rope_layers")) {
    const std::vector<int64_t> rotates = metadata.integers("no_rope_layers");
    if (rotates.size() != c.layer_attention.size()) metadata.refuse("no_rope_layers", "is not one number a layer");
    for (size_t i = 0; i < rotates.size(); ++i) c.layer_attention[i].rope = rotates[i] != 0 ? 0 : -1;
  }
  return c;
}

}  // namespace

constinit const ArchSpec kArchSmollm3{"smollm3", kGgufNames, kHuggingFaceNames, config, decoder, "SmolLM 3"};

}  // namespace tern
