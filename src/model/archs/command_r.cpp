// Command R and its successor: attention and feed-forward read the same layer norm, logits are scaled. In the successor
// every fourth layer sees all keys and does not rotate positions, the others have a window.
#include <array>

#include "core/error.h"
#include "model/archs/arch.h"
#include "model/archs/keys.h"
#include "model/blocks/transformer.h"

namespace tern {
namespace {

constexpr std::array<std::string_view, 2> kGgufNames{"command-r", "cohere2"};
constexpr std::array<std::string_view, 2> kHuggingFaceNames{"CohereForCausalLM", "Cohere2ForCausalLM"};

ModelConfig config(const Checkpoint& checkpoint) {
  ModelConfig c = decoder_config(checkpoint);
  const Metadata& metadata = checkpoint.metadata;
  c.rope.style = RopeStyle::kInterleaved;
  c.layer_norms = c.parallel_blocks = true;
  if (checkpoint.kind == CheckpointKind::kGguf) {
    const std::string prefix(metadata.string("general.architecture"));
    c.logit_scale = static_cast<float>(metadata.number(prefix + ".logit_scale"));
    if (checkpoint.find(tensor_name(Role::kAttentionQNorm, 0, checkpoint.kind)) != nullptr) {
      bad_input(metadata.source() + ": norms of each head with weights of its own are not supported");
    }
  } else {
    c.logit_scale = static_cast<float>(metadata.number_or("logit_scale", 0.0625));
    c.tied_embeddings = metadata.boolean_or("tie_word_embeddings", true);
    c.qkv_bias = c.output_bias = metadata.boolean_or("attention_bias", false);
    c.window = metadata.integer_or("sliding_window", 0, 0, 1 << 24);
    refuse_flag(metadata, "use_qk_norm");
  }
  if (c.window == 0) return c;
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    const bool local = layer % 4 != 3;
    c.layer_attention.push_back({.window = local ? c.window : 0, .rope = local ? 0 : -1});
  }
  read_layer_types(checkpoint, c);
  for (LayerAttention& layer : c.layer_attention) layer.rope = layer.window > 0 ? 0 : -1;
  c.window = 0;
  return c;
}

}  // namespace

constinit const ArchSpec kArchCommandR{"command-r", kGgufNames, kHuggingFaceNames,
                                       config,      decoder,    "Command R, Command R7B, Command A, Aya"};

}  // namespace tern
