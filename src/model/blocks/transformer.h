// The blocks that a decoder of the Llama kind is made of. Each writes its ops into the builder.
#pragma once

#include "model/builder.h"

namespace tern {

// hidden + out(attention(rope(q), rope(k), v)) of the normed input.
Operand self_attention(ProgramBuilder& builder, const ModelConfig& config, Operand hidden, int32_t layer,
                       int32_t cache);

// hidden + down(act(gate) * up) of the normed input, or the same of the experts that a token goes to.
Operand feed_forward(ProgramBuilder& builder, const ModelConfig& config, Operand hidden, int32_t layer);

// A whole decoder: embedding, layers, last norm, logits of the wanted rows (entry "logits").
Program decoder(const ModelConfig& config);

}  // namespace tern
