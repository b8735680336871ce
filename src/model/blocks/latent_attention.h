// Attention over a latent of keys and values (MLA, arXiv 2405.04434, section 2.1): one vector a token, shared by all
// heads, is all that the cache holds.
#pragma once

#include "model/builder.h"

namespace tern {

// out(values(attention(...))) of the normed input. What turns the latent into a head's keys is multiplied into its
// queries instead, and what turns it into values into its output, so attention itself has one KV head, whose key is
// rotated part | latent and whose value the same without rotation.
Operand latent_attention(ProgramBuilder& builder, const ModelConfig& config, Operand normed, int32_t layer,
                         int32_t cache);

}  // namespace tern
