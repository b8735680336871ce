// A gated delta net in the place of attention (Qwen 3-Next): what a sequence needs of its past is a state of fixed size
// (kernels/delta).
#pragma once

#include "model/builder.h"

namespace tern {

Operand gated_delta_net(ProgramBuilder& builder, const ModelConfig& config, Operand normed, int32_t layer,
                        int32_t cache);

}  // namespace tern
