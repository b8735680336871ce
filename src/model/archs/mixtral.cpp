// Mixtral from Hugging Face folders: the Llama shape with experts. GGUF files call it llama.
#include <array>

#include "model/archs/arch.h"
#include "model/archs/keys.h"
#include "model/blocks/transformer.h"

namespace tern {
namespace {

constexpr std::array<std::string_view, 1> kHuggingFaceNames{"MixtralForCausalLM"};
constexpr std::array kNames{
    RoleName{Role::kRouter, "", "model.layers.#.block_sparse_moe.gate.weight"},
    RoleName{Role::kExpertGate, "", "model.layers.#.block_sparse_moe.experts.@.w1.weight"},
    RoleName{Role::kExpertUp, "", "model.layers.#.block_sparse_moe.experts.@.w3.weight"},
    RoleName{Role::kExpertDown, "", "model.layers.#.block_sparse_moe.experts.@.w2.weight"},
};

ModelConfig config(const Checkpoint& checkpoint) {
  ModelConfig c = decoder_config(checkpoint);
  c.window = checkpoint.metadata.integer_or("sliding_window", 0, 0, 1 << 24);
  read_experts(checkpoint, c);
  return c;
}

}  // namespace

constinit const ArchSpec kArchMixtral{"mixtral", {}, kHuggingFaceNames, config, decoder, "Mixtral", kNames};

}  // namespace tern
