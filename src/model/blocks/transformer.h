// The blocks that a decoder of the Llama kind is made of. Each writes its ops into the builder.
#pragma once

#include <vector>

#include "model/builder.h"

namespace tern {

// What attention, and a feed-forward, make of the normed input, before it is added.
Operand attention_delta(ProgramBuilder& builder, const ModelConfig& config, Operand normed, int32_t layer,
                        int32_t cache);
Operand feed_forward_delta(ProgramBuilder& builder, const ModelConfig& config, Operand normed, int32_t layer);

// Declares a cache group for each window that layers have, and one for states, in the order in which they first come:
// each layer's group.
std::vector<int32_t> cache_groups(ProgramBuilder& builder, const ModelConfig& config);

// hidden + out(attention(rope(q), rope(k), v)) of the normed input.
Operand self_attention(ProgramBuilder& builder, const ModelConfig& config, Operand hidden, int32_t layer,
                       int32_t cache);

// hidden + down(act(gate) * up), or down(act(up)), of the normed input, or what experts make of it.
Operand feed_forward(ProgramBuilder& builder, const ModelConfig& config, Operand hidden, int32_t layer);

// hidden + attention + feed-forward, both of one normed input.
Operand parallel_block(ProgramBuilder& builder, const ModelConfig& config, Operand hidden, int32_t layer,
                       int32_t cache);

// A whole decoder: embedding, layers, last norm, logits of the wanted rows (entry "logits").
Program decoder(const ModelConfig& config);

}  // namespace tern
