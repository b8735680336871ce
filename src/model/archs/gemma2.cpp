// Gemma 2: a window in every other layer; scores and logits are capped.
#include <array>

#include "model/archs/gemma.h"
#include "model/archs/keys.h"
#include "model/blocks/transformer.h"

namespace tern {
namespace {

constexpr std::array<std::string_view, 1> kGgufNames{"gemma2"};
constexpr std::array<std::string_view, 1> kHuggingFaceNames{"Gemma2ForCausalLM"};

ModelConfig config(const Checkpoint& checkpoint) {
  ModelConfig c = gemma_config(checkpoint, 2, 46);
  const bool gguf = checkpoint.kind == CheckpointKind::kGguf;
  const Metadata& metadata = checkpoint.metadata;
  c.attention_soft_cap = static_cast<float>(
      metadata.number_or(gguf ? "gemma2.attn_logit_softcapping" : "attn_logit_softcapping", gguf ? 50.0 : 0.0));
  c.logit_soft_cap = static_cast<float>(
      metadata.number_or(gguf ? "gemma2.final_logit_softcapping" : "final_logit_softcapping", gguf ? 30.0 : 0.0));
  return c;
}

}  // namespace

constinit const ArchSpec kArchGemma2{"gemma2", kGgufNames, kHuggingFaceNames, config, decoder, "Gemma 2", kGemmaNames};

}  // namespace tern
