// OLMo 2: norms behind attention and feed-forward instead of before them, and of all heads of q, and of k, together.
#include <array>

#include "model/archs/arch.h"
#include "model/archs/keys.h"
#include "model/blocks/transformer.h"

namespace tern {
namespace {

constexpr std::array<std::string_view, 1> kGgufNames{"olmo2"};
constexpr std::array<std::string_view, 1> kHuggingFaceNames{"Olmo2ForCausalLM"};

ModelConfig config(const Checkpoint& checkpoint) {
  ModelConfig c = decoder_config(checkpoint);
  c.rope.style = RopeStyle::kHalves;
  c.row_norms = true;
  c.input_norms = false;
  c.post_norms = true;
  if (checkpoint.kind == CheckpointKind::kHuggingFace) refuse_flag(checkpoint.metadata, "attention_bias");
  return c;
}

}  // namespace

constinit const ArchSpec kArchOlmo2{"olmo2", kGgufNames, kHuggingFaceNames, config, decoder, "OLMo 2"};

}  // namespace tern
