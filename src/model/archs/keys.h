// The metadata keys that decoders share, read once for all architectures: GGUF's "<arch>.<key>" and the fields that
// most config.json files use. An architecture's own file corrects what differs.
#pragma once

#include "formats/checkpoint.h"
#include "model/config.h"

namespace tern {

// Sizes, norm epsilon, rope and tied embeddings of a decoder, from either kind of checkpoint. The vocabulary is the
// number of rows of the token embedding and must agree with what the metadata says.
ModelConfig decoder_config(const Checkpoint& checkpoint);

}  // namespace tern
