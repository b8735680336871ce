// An encoder of the BERT kind: every token sees all of its text, and norms stand behind what is added.
#pragma once

#include "model/builder.h"

namespace tern {

// Embedding and its norm, layers, the last layer's vector of each wanted token (entry "hidden").
Program encoder(const ModelConfig& config);

}  // namespace tern
