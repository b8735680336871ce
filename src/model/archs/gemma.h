// What Gemma 2 and 3 share: norms before and behind attention and feed-forward, kept as their distance from 1 in
// Hugging Face files; embeddings scaled by the square root of their length; layers with a window between layers
// without.
#pragma once

#include "formats/checkpoint.h"
#include "model/archs/arch.h"
#include "model/config.h"

namespace tern {

// Every `period`-th layer sees all keys, the others config.window of them, unless the file says otherwise. The 27B has
// `layers_of_27b`: it divides scores by the root of hidden / heads, which GGUF files do not say.
ModelConfig gemma_config(const Checkpoint& checkpoint, int64_t period, int64_t layers_of_27b);

// The norm in front of the feed-forward is not where it usually is.
inline constexpr RoleName kGemmaNames[] = {
    {Role::kFfnNorm, "blk.#.ffn_norm.weight", "model.layers.#.pre_feedforward_layernorm.weight"}};

}  // namespace tern
