// Gemma 3 (text): a window, and a rotation of their own, in five layers of six; norms of heads.
#include <array>

#include "model/archs/gemma.h"
#include "model/archs/keys.h"
#include "model/blocks/transformer.h"

namespace tern {
namespace {

constexpr std::array<std::string_view, 1> kGgufNames{"gemma3"};
constexpr std::array<std::string_view, 1> kHuggingFaceNames{"Gemma3ForCausalLM"};

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

constinit const ArchSpec kArchGemma3{"gemma3", kGgufNames,       kHuggingFaceNames, config,
                                     decoder,  "Gemma 3 (text)", kGemmaNames};

}  // namespace tern
