// The feed-forward as a mixture of experts.
#pragma once

#include "model/builder.h"

namespace tern {

// Of the normed input, what the experts that each token goes to make of it, and those that all tokens go to.
Operand mixture_of_experts(ProgramBuilder& builder, const ModelConfig& config, Operand normed, int32_t layer);

}  // namespace tern
