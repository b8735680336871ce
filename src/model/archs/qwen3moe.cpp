// Qwen 3 as a mixture of experts: Qwen 3 attention, and in every layer a router in front of gated experts.
#include <array>

#include "model/archs/arch.h"
#include "model/archs/keys.h"
#include "model/blocks/transformer.h"

namespace tern {
namespace {

constexpr std::array<std::string_view, 1> kGgufNames{"qwen3moe"};
constexpr std::array<std::string_view, 1> kHuggingFaceNames{"Qwen3MoeForCausalLM"};

ModelConfig config(const Checkpoint& checkpoint) {
  ModelConfig c = decoder_config(checkpoint);
  const Metadata& metadata = checkpoint.metadata;
  c.rope.style = RopeStyle::kHalves;
  c.head_norms = true;
  read_experts(checkpoint, c);
  if (checkpoint.kind == CheckpointKind::kHuggingFace) {
    c.qkv_bias = c.output_bias = metadata.boolean_or("attention_bias", false);
    c.route.normalized = metadata.boolean_or("norm_topk_prob", false);
    refuse_flag(metadata, "use_sliding_window");
    if (metadata.integer_or("decoder_sparse_step", 1, 0, 1 << 20) != 1) {
      metadata.refuse("decoder_sparse_step", "dense layers between those with experts are not supported yet");
    }
    if (metadata.has("mlp_only_layers") && metadata.array_size("mlp_only_layers") > 0) {
      metadata.refuse("mlp_only_layers", "dense layers between those with experts are not supported yet");
    }
  }
  return c;
}

}  // namespace

constinit const ArchSpec kArchQwen3Moe{"qwen3moe", kGgufNames, kHuggingFaceNames, config, decoder, "Qwen 3 MoE"};

}  // namespace tern
