// A short convolution in the place of attention: each channel of a token is a weighted sum of its own last few values,
// between two gates (LFM2). What a sequence needs of its past is a state of fixed size.
#pragma once

#include "model/builder.h"

namespace tern {

// out(c * conv(b * x)) of the normed input, b | c | x being one product of it.
Operand short_convolution(ProgramBuilder& builder, const ModelConfig& config, Operand normed, int32_t layer,
                          int32_t cache);

}  // namespace tern
