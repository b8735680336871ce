// Gemma 3 (text): a window, and a rotation of their own, in five layers of six; norms of heads.
#include <array>

#include "model/archs/gemma.h"
#include "model/archs/keys.h"
#include "model/blocks/transformer.h"

namespace tern {
namespace {

constexpr std::array<std::string_view, 1> kGgufNames{"gemma3"};
constexpr std::array<std::string_view, 2> kHuggingFaceNames{"Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"};
// Of Gemma3TextConfig in transformers. What the sizes of the released models have in common is not in their files.
constexpr std::array kDefaults{
    FactDefault{"num_attention_heads", 8},
    FactDefault{"num_key_value_heads", 4},
    FactDefault{"head_dim", 256},
    FactDefault{"hidden_size", 2304},
    FactDefault{"intermediate_size", 9216},
    FactDefault{"num_hidden_layers", 26},
    FactDefault{"max_position_embeddings", 131072},
    FactDefault{"rms_norm_eps", 1e-6},
    FactDefault{"rope_theta", 1e6},
};

ModelConfig config(const Checkpoint& checkpoint) {
  ModelConfig c = gemma_config(checkpoint, 6, 62);
  c.head_norms = true;
  c.local_rope = c.rope;
  c.local_rope.scaling = RopeScaling::kNone;
  c.local_rope.theta = 10000.0;
  if (checkpoint.kind == CheckpointKind::kHuggingFace) read_local_rope(checkpoint.metadata, c);
  for (LayerAttention& layer : c.layer_attention) layer.rope = layer.window > 0 ? 1 : 0;
  return c;
}

}  // namespace

constinit const ArchSpec kArchGemma3{"gemma3",    kGgufNames, kHuggingFaceNames, config, decoder, "Gemma 3 (text)",
                                     kGemmaNames, "",         kDefaults};

}  // namespace tern
