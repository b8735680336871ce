// OLMoE: norms of all heads of q, and of k, together, and experts whose weights are shares of a softmax of all.
#include <array>

#include "model/archs/arch.h"
#include "model/archs/keys.h"
#include "model/blocks/transformer.h"

namespace tern {
namespace {

constexpr std::array<std::string_view, 1> kGgufNames{"olmoe"};
constexpr std::array<std::string_view, 1> kHuggingFaceNames{"OlmoeForCausalLM"};

ModelConfig config(const Checkpoint& checkpoint) {
  ModelConfig c = decoder_config(checkpoint);
  const Metadata& metadata = checkpoint.metadata;
  c.rope.style = RopeStyle::kHalves;
  c.row_norms = true;
  read_experts(checkpoint, c);
  c.route.normalized = false;
  if (checkpoint.kind == CheckpointKind::kHuggingFace) {
    c.route.normalized = metadata.boolean_or("norm_topk_prob", false);
    refuse_flag(metadata, "attention_bias");
    if (metadata.has("clip_qkv")) metadata.refuse("clip_qkv", "is not supported yet");
  }
  return c;
}

}  // namespace

constinit const ArchSpec kArchOlmoe{"olmoe", kGgufNames, kHuggingFaceNames, config, decoder, "OLMoE"};

}  // namespace tern
